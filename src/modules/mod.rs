//! nginx's modules, one file each.

mod access;
mod access_log;
mod addition;
mod auth_basic;
mod auth_request;
mod autoindex;
mod browser;
mod charset;
pub mod core;
mod dav;
mod empty_gif;
pub mod error_log;
mod fastcgi;
mod folder;
mod forwarded;
mod geo;
mod grpc;
mod gunzip;
mod gzip;
mod gzip_static;
mod headers;
pub mod http_core;
mod http_ssl;
mod index;
mod limit_conn;
mod limit_req;
mod limit_zone;
mod load_module;
mod map;
mod memcached;
mod mirror;
mod not_modified;
mod openssl;
mod proxy;
mod random_index;
mod range;
mod realip;
mod referer;
pub(crate) mod resolver;
mod rewrite;
mod scgi;
mod secure_link;
mod slice;
mod split_clients;
mod ssi;
mod static_files;
mod stub_status;
mod sub;
pub(crate) mod syslog;
mod thread_pool;
mod try_files;
mod upstream;
mod userid;
mod uwsgi;

use std::sync::LazyLock;

use crate::conf::{AnyModule, erase};
use crate::schema::{DirectiveSpec, Schema};

/// All modules in nginx's running order: handlers of one phase run in the order of this list.
pub static MODULES: &[&dyn AnyModule] = &[
    erase::<core::Core>(),
    erase::<core::Events>(),
    erase::<load_module::LoadModule>(),
    erase::<thread_pool::ThreadPools>(),
    erase::<openssl::OpenSsl>(),
    erase::<error_log::ErrorLogs>(),
    erase::<http_core::HttpCore>(),
    erase::<resolver::Resolvers>(),
    erase::<access_log::AccessLog>(),
    erase::<http_ssl::HttpSsl>(),
    erase::<upstream::Upstreams>(),
    erase::<upstream::Balances>(),
    erase::<upstream::KeepAlives>(),
    erase::<upstream::Zones>(),
    erase::<geo::Geo>(),
    erase::<map::Map>(),
    erase::<split_clients::SplitClients>(),
    erase::<rewrite::Rewrite>(),
    erase::<realip::Realip>(),
    erase::<limit_req::LimitReq>(),
    erase::<limit_conn::LimitConn>(),
    erase::<access::Access>(),
    erase::<auth_basic::AuthBasic>(),
    erase::<auth_request::AuthRequest>(),
    erase::<try_files::TryFiles>(),
    erase::<mirror::Mirror>(),
    erase::<random_index::RandomIndex>(),
    erase::<index::Index>(),
    erase::<autoindex::Autoindex>(),
    erase::<dav::Dav>(),
    erase::<gzip_static::GzipStatic>(),
    erase::<static_files::StaticFiles>(),
    erase::<referer::Referer>(),
    erase::<empty_gif::EmptyGif>(),
    erase::<secure_link::SecureLink>(),
    erase::<browser::Browsers>(),
    erase::<stub_status::StubStatus>(),
    erase::<proxy::ProxyPass>(),
    erase::<fastcgi::FastCgiPass>(),
    erase::<uwsgi::UwsgiPass>(),
    erase::<scgi::ScgiPass>(),
    erase::<grpc::GrpcPass>(),
    erase::<memcached::MemcachedPass>(),
    erase::<slice::Slices>(),
    erase::<not_modified::NotModified>(),
    erase::<headers::AddHeaders>(),
    erase::<userid::Userid>(),
    erase::<gunzip::Gunzip>(),
    erase::<addition::Addition>(),
    erase::<sub::Sub>(),
    erase::<charset::Charset>(),
    erase::<ssi::Ssi>(),
    erase::<gzip::Gzip>(),
    erase::<range::Range>(),
];

/// For each row of the table whether some module runs it.
static RUNNING: LazyLock<Box<[bool]>> = LazyLock::new(|| {
    let mut running = vec![false; Schema::nginx().directives().len()];
    for module in MODULES {
        let is_its = |spec: &&DirectiveSpec| spec.module == module.name() || module.also().contains(&spec.module);
        let rows = |name: &str| Schema::nginx().named(name.as_bytes()).filter(is_its).map(|spec| spec.number).collect();
        let rows = module.commands().into_iter().flat_map(|name| -> Vec<u16> { rows(name) });
        rows.for_each(|row| running[usize::from(row)] = true);
    }
    running.into()
});

/// Whether a row of the table is run by a module.
pub fn runs(spec: &DirectiveSpec) -> bool {
    RUNNING[usize::from(spec.number)]
}

/// Directives that a module claims and the table does not know: none, or the two have drifted apart.
pub fn commands_without_rows() -> Vec<String> {
    let schema = Schema::nginx();
    let has_row = |module: &dyn AnyModule, name: &str| {
        let mut rows = schema.named(name.as_bytes());
        rows.any(|row| row.module == module.name() || module.also().contains(&row.module))
    };
    let missing = |module: &&'static dyn AnyModule| {
        let module = *module;
        let names = module.commands().into_iter().filter(move |name| !has_row(module, name));
        names.map(move |name| format!("{}: {name}", module.name())).collect::<Vec<_>>()
    };
    MODULES.iter().flat_map(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::document;

    /// `RNGINX_WRITE=1 cargo test --lib documentation` writes it anew.
    #[test]
    fn the_documentation_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/directives.md");
        let page = document(Schema::nginx(), &runs);
        if std::env::var_os("RNGINX_WRITE").is_some() {
            std::fs::write(path, &page).expect("the page can be written");
        }
        assert!(std::fs::read_to_string(path).is_ok_and(|written| written == page), "docs/directives.md is stale");
    }
}
