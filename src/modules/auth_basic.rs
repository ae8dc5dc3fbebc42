//! `auth_basic`: names and passwords from a file (RFC 7617). <https://nginx.org/en/docs/http/ngx_http_auth_basic_module.html>

mod crypt;

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::rc::Rc;

use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult, assign};
use crate::http::{Credentials, Flow, HeaderId, Phase, PhaseHandler, Request, Script, open_file, read_range};
use crate::log::Level;

/// `ngx_http_auth_basic_module`.
pub struct AuthBasic;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    realm: Option<Script>,
    users: Option<Script>,
}

impl Module for AuthBasic {
    type Conf = Conf;
    const NAME: &'static str = "http_auth_basic";
    const COMMANDS: &'static [Command<Conf>] =
        &[Command::script("auth_basic", |c| &mut c.realm), Command::custom("auth_basic_user_file", set_users)];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.realm.inherit(&parent.realm);
        conf.users.inherit(&parent.users);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let (Some(realm), Some(users)) = (conf.realm.clone(), conf.users.clone()) else { return };
        if realm.as_constant().is_none_or(|realm| realm != "off") {
            let prefix = location.ctx.paths().conf_prefix.clone();
            location.on(Phase::Access, Handler { realm, users, prefix });
        }
    }
}

fn set_users(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    assign(&mut c.users, args, || ctx.script(args.word(1)))
}

struct Handler {
    realm: Script,
    users: Script,
    /// Where a relative path begins.
    prefix: PathBuf,
}

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let realm = self.realm.eval(r);
        if realm == "off" {
            return Flow::Declined;
        }
        let Some(credentials) = r.credentials() else {
            r.log(Level::Info, "no user/password was provided for basic authentication");
            return ask(r, &realm);
        };
        let path = self.path(r);
        let users = match read(r, &path) {
            Ok(users) => users,
            Err(flow) => return flow,
        };
        let Some(kept) = find(&users, &credentials.user) else {
            r.log_with(Level::Error, |line| {
                line.put("user \"").bytes(&credentials.user).put("\" was not found in \"").bytes(&path).put('"');
            });
            return ask(r, &realm);
        };
        check(r, &credentials, kept, &realm)
    }
}

impl Handler {
    fn path(&self, r: &Request) -> Vec<u8> {
        let path = self.users.eval(r);
        if path.starts_with(b"/") {
            return path.into();
        }
        self.prefix.join(OsStr::from_bytes(&path)).into_os_string().into_vec()
    }
}

fn ask(r: &Request, realm: &[u8]) -> Flow {
    let value = [b"Basic realm=\"", realm, b"\""].concat();
    r.out.pending.borrow_mut().push_id(HeaderId::WwwAuthenticate, &value);
    Flow::Finalize(401)
}

fn read(r: &Request, path: &[u8]) -> Result<Vec<u8>, Flow> {
    let (file, stat) = open_file(path).map_err(|fault| {
        let missing = fault.errno() == libc::ENOENT;
        r.log_with(if missing { Level::Error } else { Level::Crit }, |line| {
            line.put(fault.call).put(" \"").bytes(path).put("\" failed").error(&fault.error);
        });
        Flow::Finalize(if missing { 403 } else { 500 })
    })?;
    read_range(&file, 0, usize::try_from(stat.size).unwrap_or(usize::MAX)).map_err(|error| {
        r.log_with(Level::Crit, |line| {
            line.put("pread() \"").bytes(path).put("\" failed").error(&error);
        });
        Flow::Finalize(500)
    })
}

/// What stands behind the name, up to the next colon.
fn find<'u>(users: &'u [u8], user: &[u8]) -> Option<&'u [u8]> {
    let mut lines = users.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    let rest = lines.find_map(|line| line.strip_prefix(user)?.strip_prefix(b":"))?;
    let end = rest.iter().position(|byte| matches!(byte, b':' | b'\r')).unwrap_or(rest.len());
    Some(&rest[..end])
}

fn check(r: &Request, credentials: &Credentials, kept: &[u8], realm: &[u8]) -> Flow {
    let crypted = match crypt::crypt(&credentials.password, kept) {
        Ok(crypted) => crypted,
        Err(error) => {
            r.log_error(Level::Crit, &error, "crypt_r() failed");
            return Flow::Finalize(500);
        }
    };
    if crypted == kept {
        return Flow::Ok;
    }
    r.log_with(Level::Error, |line| {
        line.put("user \"").bytes(&credentials.user).put("\": password mismatch");
    });
    ask(r, realm)
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn finds_users() {
        let users = b"# comment:x\nann:one\nanna:two:note\r\n\nbob:three\r\n#bob:no\nend:four";
        for (user, kept) in [("ann", "one"), ("anna", "two"), ("bob", "three"), ("end", "four")] {
            assert_eq!(find(users, user.as_bytes()), Some(kept.as_bytes()));
        }
        for user in ["an", "# comment", "note", ""] {
            assert_eq!(find(users, user.as_bytes()), None, "{user}");
        }
    }
}
