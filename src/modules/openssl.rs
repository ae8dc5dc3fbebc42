//! What OpenSSL has and we have not: certificates that outlive a reload.
//! <https://nginx.org/en/docs/ngx_core_module.html#ssl_object_cache_inheritable>

use crate::conf::{Command, Module};

/// `ngx_openssl_cache_module`
pub struct OpenSsl;

/// The directives of the main block.
#[derive(Default)]
pub struct Conf {
    /// A reload reads all certificates again, whatever stands here.
    inheritable: Option<bool>,
}

impl Module for OpenSsl {
    type Conf = Conf;
    const NAME: &'static str = "openssl_cache";
    const COMMANDS: &'static [Command<Conf>] = &[Command::flag("ssl_object_cache_inheritable", |c| &mut c.inheritable)];
}
