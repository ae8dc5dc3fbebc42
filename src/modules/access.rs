//! `allow`, `deny`: by the client's address. <https://nginx.org/en/docs/http/ngx_http_access_module.html>

use std::net::IpAddr;
use std::rc::Rc;

use crate::conf::{Args, Cidr, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::diag::Diagnostic;
use crate::http::{Flow, Phase, PhaseHandler, Request};
use crate::log::Level;

/// `ngx_http_access_module`.
pub struct Access;

/// The rules of one block, in the order in which they are tried.
#[derive(Default)]
pub struct Conf {
    rules: Vec<Rule>,
}

#[derive(Clone, Copy)]
struct Rule {
    whom: Whom,
    deny: bool,
}

#[derive(Clone, Copy)]
enum Whom {
    All,
    /// Clients on a UNIX socket.
    Unix,
    Network(Cidr),
}

impl Module for Access {
    type Conf = Conf;
    const NAME: &'static str = "http_access";
    const COMMANDS: &'static [Command<Conf>] = &[Command::custom("allow", add_rule), Command::custom("deny", add_rule)];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.rules.inherit(&parent.rules);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if !conf.rules.is_empty() {
            location.on(Phase::Access, Rules::new(&conf.rules));
        }
    }
}

fn add_rule(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let whom = match args.value(1) {
        b"all" => Whom::All,
        b"unix:" => Whom::Unix,
        text => {
            let (network, odd) = Cidr::parse(text).ok_or_else(|| args.invalid_parameter(1))?;
            if odd {
                let message = format!("low address bits of {} are meaningless", args.text(1));
                let warning = Diagnostic::warning("low-address-bits", message).at(args.word(1).span);
                ctx.complain_in(args.directive(), warning);
            }
            Whom::Network(network)
        }
    };
    c.rules.push(Rule { whom, deny: args.value(0) == b"deny" });
    Ok(())
}

struct Rules {
    rules: Box<[Rule]>,
    /// Whether a rule speaks of IPv4: then an IPv4 client of an IPv6 socket is an IPv4 client.
    speaks_v4: bool,
}

impl Rules {
    fn new(rules: &[Rule]) -> Self {
        let speaks_v4 = rules.iter().any(|rule| match rule.whom {
            Whom::All => true,
            Whom::Network(network) => network.address.is_ipv4(),
            Whom::Unix => false,
        });
        Self { rules: rules.into(), speaks_v4 }
    }
}

impl PhaseHandler for Rules {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let peer = r.connection.peer.get().map(|peer| peer.ip());
        let client = if self.speaks_v4 { peer.map(|peer| peer.to_canonical()) } else { peer };
        let Some(rule) = self.rules.iter().find(|rule| rule.whom.is(client)) else { return Flow::Declined };
        if !rule.deny {
            return Flow::Ok;
        }
        if !r.location().core.satisfy_any {
            r.log(Level::Error, "access forbidden by rule");
        }
        Flow::Finalize(403)
    }
}

impl Whom {
    fn is(self, client: Option<IpAddr>) -> bool {
        match (self, client) {
            (Whom::All, _) => true,
            (Whom::Unix, client) => client.is_none(),
            (Whom::Network(network), Some(client)) => network.contains(client),
            (Whom::Network(_), None) => false,
        }
    }
}
