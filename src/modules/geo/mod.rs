//! `geo`: a variable whose value depends on an address. <https://nginx.org/en/docs/http/ngx_http_geo_module.html>

mod networks;
mod ranges;

use std::net::{IpAddr, Ipv4Addr};

use super::forwarded::{Named, Trusted, parse_address};
use crate::conf::{Args, Cidr, Command, Ctx, Module, SetResult};
use crate::diag::Diagnostic;
use crate::http::{Compute, Getter, HeaderId, Request, VarIndex};
use crate::syntax::Directive;

use networks::{NetworkTable, Networks};
use ranges::{RangeTable, Ranges};

/// `ngx_http_geo_module`.
pub struct Geo;

impl Module for Geo {
    type Conf = ();
    const NAME: &'static str = "http_geo";
    const COMMANDS: &'static [Command<()>] = &[Command::custom("geo", add)];
}

fn add(_c: &mut (), args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if let Some(index) = (1..args.len()).find(|index| !args.value(*index).starts_with(b"$")) {
        return Err(invalid_name(args, index));
    }
    let source = match args.len() {
        3 => Some(source_variable(args, ctx)?),
        _ => None,
    };
    let mut builder = Builder::default();
    for row in args.directive().children() {
        if let Err(fault) = builder.row(row) {
            ctx.complain_in(row, fault);
        }
        for warning in builder.warnings.drain(..) {
            ctx.complain_in(row, warning);
        }
    }
    let table = match builder.ranges {
        Some(ranges) => Table::Ranges(ranges.finish()),
        None => Table::Networks(builder.networks.finish()),
    };
    let geo = Lookup { source, proxies: builder.proxies, table };
    ctx.define_variable(args.word(args.len() - 1), Getter::Computed(Box::new(geo)), true)?;
    Ok(())
}

fn source_variable(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<VarIndex, Diagnostic> {
    let name = args.value(1).strip_prefix(b"$").ok_or_else(|| invalid_name(args, 1))?;
    Ok(ctx.variable(name, args.word(1).span))
}

fn invalid_name(args: &Args<'_>, index: usize) -> Diagnostic {
    args.error(index, "invalid-variable", format!("invalid variable name \"{}\"", args.text(index)))
}

#[derive(Default)]
struct Builder {
    networks: Networks,
    ranges: Option<Ranges>,
    proxies: Trusted,
    /// A network was written: it is too late for `ranges`.
    begun: bool,
    warnings: Vec<Diagnostic>,
}

impl Builder {
    fn row(&mut self, row: &Directive) -> SetResult {
        let [value] = &row.args[..] else {
            match &row.name.value[..] {
                b"ranges" if self.begun && self.ranges.is_none() => {
                    let message = "the \"ranges\" directive must be the first directive inside \"geo\" block";
                    return Err(Diagnostic::error("invalid-geo", message).at(row.name.span));
                }
                b"ranges" => drop(self.ranges.get_or_insert_default()),
                b"proxy_recursive" => self.proxies.recursive = true,
                // The check has complained about other numbers of words.
                _ => {}
            }
            return Ok(());
        };
        if *row.name.value == *b"proxy" {
            let network = self.network(&value.value)?;
            self.proxies.networks.push(network);
            return Ok(());
        }
        let deletes = *row.name.value == *b"delete";
        let net = if deletes { &value.value } else { &row.name.value };
        let new = (!deletes).then_some(&value.value[..]);
        if let Some(ranges) = &mut self.ranges {
            return ranges.add(net, new, &mut self.warnings).map_err(|fault| fault.at(row.name.span));
        }
        self.begun = true;
        if new.is_some() && **net == *b"default" {
            self.networks.add_default(&value.value, &mut self.warnings);
            return Ok(());
        }
        let network = self.network(net)?;
        self.networks.add(network, net, new, &mut self.warnings);
        Ok(())
    }

    fn network(&mut self, text: &[u8]) -> Result<Cidr, Diagnostic> {
        let shown = String::from_utf8_lossy(text);
        if text == b"255.255.255.255" {
            return Ok(Cidr { address: Ipv4Addr::BROADCAST.into(), bits: 32 });
        }
        let (network, odd) = Cidr::parse(text)
            .ok_or_else(|| Diagnostic::error("invalid-network", format!("invalid network \"{shown}\"")))?;
        if odd {
            let message = format!("low address bits of {shown} are meaningless");
            self.warnings.push(Diagnostic::warning("low-address-bits", message));
        }
        Ok(network)
    }
}

/// A `geo` at request time.
struct Lookup {
    source: Option<VarIndex>,
    proxies: Trusted,
    table: Table,
}

enum Table {
    Networks(NetworkTable),
    Ranges(RangeTable),
}

impl Lookup {
    /// The address that counts; what is no address counts as 255.255.255.255.
    fn address(&self, r: &Request) -> IpAddr {
        let nobody = IpAddr::V4(Ipv4Addr::BROADCAST);
        let own = match self.source {
            None => r.connection.peer.get(),
            Some(variable) => {
                let mut text = Vec::new();
                let found = r.append_variable(variable, &mut text);
                let address = found.then(|| parse_address(&text)).flatten();
                match address {
                    Some(ip) => Some((ip, 0).into()),
                    None => return nobody,
                }
            }
        };
        let address = if self.proxies.networks.is_empty() {
            own
        } else {
            let headers = r.headers.borrow();
            let values: Vec<&[u8]> = headers.get_all(HeaderId::XForwardedFor).collect();
            match self.proxies.client(own, values.into_iter()) {
                Named::Found(address) => Some(address),
                Named::Nobody => own,
            }
        };
        address.map_or(nobody, |address| address.ip().to_canonical())
    }
}

impl Compute for Lookup {
    fn compute(&self, r: &Request, out: &mut Vec<u8>) -> bool {
        let address = self.address(r);
        let value = match &self.table {
            Table::Networks(table) => table.find(address),
            Table::Ranges(table) => match address {
                IpAddr::V4(ip) => table.find(ip.into()),
                IpAddr::V6(_) => table.find(u32::MAX),
            },
        };
        out.extend_from_slice(value);
        true
    }
}
