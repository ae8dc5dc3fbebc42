//! What `proxy_ssl_…`, `uwsgi_ssl_…` and `grpc_ssl_…` have in common.

use std::sync::Arc;

use crate::conf::{Args, Ctx, Inherit, SetResult, assign};
use crate::diag::{Diagnostic, Span};
use crate::http::Script;
use crate::modules::http_ssl::choice::{Chosen, versions};
use crate::modules::http_ssl::commands::{Commands, Lost};
use crate::modules::http_ssl::load::{self, fault};
use crate::modules::http_ssl::{Located, PROTOCOLS, settings};
use crate::tls::{Backend, BackendParts, CertificateCache, Dynamic, Purpose, Trust};

/// The directives of one block.
#[derive(Clone, Default)]
pub struct SslSettings {
    pub session_reuse: Option<bool>,
    pub name: Option<Script>,
    pub server_name: Option<bool>,
    pub verify: Option<bool>,
    pub verify_depth: Option<u64>,
    protocols: Option<u32>,
    protocols_at: Option<Span>,
    ciphers: Option<Located>,
    trusted_certificate: Option<Located>,
    crl: Option<Located>,
    certificate: Option<Located>,
    certificate_key: Option<Located>,
    passwords: Option<Arc<Vec<Vec<u8>>>>,
    commands: Vec<(Located, Located)>,
    certificate_cache: Option<Option<CertificateCache>>,
}

impl SslSettings {
    /// Reads a directive by the end of its name, behind `…_ssl_`.
    ///
    /// # Errors
    /// What is wrong with its arguments.
    pub fn read(&mut self, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
        let name = args.name();
        let field = match name.split_once("_ssl_").map(|(_, rest)| rest) {
            Some("protocols") => {
                self.protocols_at.get_or_insert(args.word(0).span);
                return assign(&mut self.protocols, args, || args.bits(PROTOCOLS));
            }
            Some("password_file") => return settings::passwords(&mut self.passwords, args, ctx),
            Some("certificate_cache") => return settings::certificate_cache(&mut self.certificate_cache, args),
            Some("conf_command") => {
                self.commands.push((Located::new(args, 1), Located::new(args, 2)));
                return Ok(());
            }
            Some("ciphers") => &mut self.ciphers,
            Some("trusted_certificate") => &mut self.trusted_certificate,
            Some("crl") => &mut self.crl,
            Some("certificate") => return pem(&mut self.certificate, args, ctx),
            _ => return pem(&mut self.certificate_key, args, ctx),
        };
        assign(field, args, || Ok(Located::new(args, 1)))
    }

    /// Takes from the block around what this one does not set.
    pub fn inherit(&mut self, parent: &Self) {
        self.session_reuse.inherit(&parent.session_reuse);
        self.name.inherit(&parent.name);
        self.server_name.inherit(&parent.server_name);
        self.verify.inherit(&parent.verify);
        self.verify_depth.inherit(&parent.verify_depth);
        self.protocols.inherit(&parent.protocols);
        self.protocols_at.inherit(&parent.protocols_at);
        self.ciphers.inherit(&parent.ciphers);
        self.trusted_certificate.inherit(&parent.trusted_certificate);
        self.crl.inherit(&parent.crl);
        self.certificate.inherit(&parent.certificate);
        self.certificate_key.inherit(&parent.certificate_key);
        self.passwords.inherit(&parent.passwords);
        self.commands.inherit(&parent.commands);
        self.certificate_cache.inherit(&parent.certificate_cache);
    }

    /// Resolves them; `prefix` is `proxy` or one of its kin. What is wrong is complained about.
    pub fn resolve(&self, ctx: &mut Ctx<'_>, prefix: &str, alpn: &[&[u8]]) -> Option<Arc<Backend>> {
        let mut lost = Lost::default();
        let built = self.build(ctx, prefix, alpn, &mut lost);
        lost.say(ctx);
        match built {
            Ok(backend) => Some(Arc::new(backend)),
            Err(diagnostic) => {
                ctx.complain(*diagnostic);
                None
            }
        }
    }

    fn build(
        &self,
        ctx: &mut Ctx<'_>,
        prefix: &str,
        alpn: &[&[u8]],
        lost: &mut Lost,
    ) -> Result<Backend, Box<Diagnostic>> {
        let commands = Commands::read(&self.commands, lost)?;
        let chosen = Chosen::of(self.ciphers.as_ref(), "DEFAULT", None, &commands, lost)?;
        let versions = versions(self.protocols, self.protocols_at, "ssl_protocols", &commands, lost)?;
        let (mut certificate, mut dynamic) = (None, None);
        match (&self.certificate, &self.certificate_key) {
            (Some(name), _) if name.value.is_empty() => {}
            (Some(name), None) => {
                let message =
                    format!("no \"{prefix}_ssl_certificate_key\" is defined for certificate \"{}\"", name.text());
                return Err(Box::new(fault("no-certificate-key", name, message)));
            }
            (Some(name), Some(key)) if name.value.contains(&b'$') || key.value.contains(&b'$') => {
                let pair = (ctx.script_at(name.at, &name.value)?, ctx.script_at(key.at, &key.value)?);
                let passwords = self.passwords.as_deref().cloned().unwrap_or_default();
                let cache = self.certificate_cache.flatten();
                dynamic = Some(Dynamic { pairs: vec![pair], passwords, folder: ctx.conf_path(""), cache });
            }
            (Some(name), Some(key)) => {
                let passwords = self.passwords.clone().unwrap_or_default();
                certificate = Some(Arc::new(load::pair(ctx, name, key, &passwords)?));
            }
            _ => {}
        }
        if let (Some(name), Some(key)) = &commands.certificate {
            let passwords = self.passwords.clone().unwrap_or_default();
            certificate = Some(Arc::new(load::pair(ctx, name, key, &passwords)?));
        }
        let parts = BackendParts {
            provider: chosen.provider(),
            versions,
            certificate,
            dynamic,
            name: self.name.clone(),
            server_name: self.server_name.unwrap_or(false),
            session_reuse: self.session_reuse.unwrap_or(true),
            trust: self.trust(ctx, prefix)?,
            alpn: alpn.iter().map(|name| name.to_vec()).collect(),
        };
        Backend::new(parts).map_err(|error| {
            let message = format!("SSL_CTX_new() failed (SSL: {error})");
            Box::new(Diagnostic::error("tls", message).at(self.protocols_at.unwrap_or_default()))
        })
    }

    fn trust(&self, ctx: &mut Ctx<'_>, prefix: &str) -> Result<Option<Trust>, Box<Diagnostic>> {
        if !self.verify.unwrap_or(false) {
            return Ok(None);
        }
        let Some(trusted) = &self.trusted_certificate else {
            let message = format!("no {prefix}_ssl_trusted_certificate for {prefix}_ssl_verify");
            return Err(Box::new(Diagnostic::error("no-trusted-certificate", message)));
        };
        let anchors = load::certificates(ctx, trusted)?;
        let revoked = match &self.crl {
            Some(name) => load::revoked(ctx, name)?,
            None => Vec::new(),
        };
        Ok(Some(Trust { anchors, revoked, depth: self.verify_depth.unwrap_or(1), purpose: Purpose::Server }))
    }
}

/// Reads the name of a file, which variables may be in, used here or not.
fn pem(field: &mut Option<Located>, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    assign(field, args, || {
        ctx.script(args.word(1))?;
        Ok(Located::new(args, 1))
    })
}
