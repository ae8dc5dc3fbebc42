//! The address of a `listen`: `address:port`, `address`, `port`, a range of ports, `unix:path`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::http::ListenAddress;
use crate::schema::value;

/// The port where none is written.
const DEFAULT_PORT: u16 = 80;

/// Longest path of a UNIX socket, in bytes.
const LONGEST_PATH: usize = 107;

/// Finds the addresses of a host.
type Resolve<'r> = &'r mut dyn FnMut(&str) -> Option<Vec<IpAddr>>;

/// All addresses that one `listen` stands for, each with its text as nginx writes it; an error is nginx's words.
pub(super) fn parse(text: &str, resolve: Resolve<'_>) -> Result<Vec<(ListenAddress, String)>, &'static str> {
    if let Some((scheme, path)) = text.split_at_checked(5)
        && scheme.eq_ignore_ascii_case("unix:")
    {
        return unix(text, path);
    }
    let (hosts, ports) = match text.strip_prefix('[') {
        Some(rest) => ipv6(rest)?,
        None => ipv4_or_name(text, resolve)?,
    };
    let all = hosts.iter().flat_map(|host| ports.clone().map(|port| SocketAddr::from((*host, port))));
    Ok(all.map(|address| (ListenAddress::Tcp(address), address.to_string())).collect())
}

fn unix(text: &str, path: &str) -> Result<Vec<(ListenAddress, String)>, &'static str> {
    match path.len() {
        0 => Err("no path in the unix domain socket"),
        length if length > LONGEST_PATH => Err("too long path in the unix domain socket"),
        _ => Ok(vec![(ListenAddress::Unix(PathBuf::from(path)), text.to_owned())]),
    }
}

type HostsAndPorts = (Vec<IpAddr>, RangeInclusive<u16>);

fn ipv6(rest: &str) -> Result<HostsAndPorts, &'static str> {
    let (host, behind) = rest.split_once(']').ok_or("invalid host")?;
    if behind.contains('/') {
        return Err("invalid host");
    }
    let ports = match behind.strip_prefix(':') {
        Some(text) => ports(text)?,
        None if behind.is_empty() => DEFAULT_PORT..=DEFAULT_PORT,
        None => return Err("invalid host"),
    };
    if host.is_empty() {
        return Err("no host");
    }
    let ip = host.parse::<Ipv6Addr>().map_err(|_| "invalid IPv6 address")?;
    Ok((vec![ip.into()], ports))
}

fn ipv4_or_name(text: &str, resolve: Resolve<'_>) -> Result<HostsAndPorts, &'static str> {
    if text.contains(['/', '?']) {
        return Err("invalid host");
    }
    let (host, ports) = match text.split_once(':') {
        Some((host, text)) => (host, ports(text)?),
        None if is_ports(text) => return Ok((vec![Ipv4Addr::UNSPECIFIED.into()], ports(text)?)),
        None => (text, DEFAULT_PORT..=DEFAULT_PORT),
    };
    match host {
        "" => Err("no host"),
        "*" => Ok((vec![Ipv4Addr::UNSPECIFIED.into()], ports)),
        _ => match ipv4(host) {
            Some(ip) => Ok((vec![ip.into()], ports)),
            None => Ok((resolve(host).ok_or("host not found")?, ports)),
        },
    }
}

/// `8080` or `8080-8090`
fn is_ports(text: &str) -> bool {
    let is_number = |text: &str| value::number(text.as_bytes()).is_some();
    match text.split_once('-') {
        Some((first, last)) => is_number(first) && is_number(last),
        None => is_number(text),
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let last = port(last)?;
    let first = port(first)?;
    if first > last { Err("invalid port range") } else { Ok(first..=last) }
}

fn port(text: &str) -> Result<u16, &'static str> {
    let number = value::number(text.as_bytes()).and_then(|number| u16::try_from(number).ok());
    number.filter(|port| *port > 0).ok_or("invalid port")
}

/// Four numbers, zeros before them allowed. All ones is no address to nginx.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = text.split('.').map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u8>().ok().filter(|_| digits)
    });
    let octets = [parts.next()??, parts.next()??, parts.next()??, parts.next()??];
    let ip = Ipv4Addr::from(octets);
    (parts.next().is_none() && ip != Ipv4Addr::BROADCAST).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Vec<String>, &'static str> {
        let resolve = &mut |host: &str| crate::upstream::resolve_host(host.as_bytes());
        Ok(parse(text, resolve)?.into_iter().map(|(_, text)| text).collect())
    }

    #[test]
    fn reads_addresses_and_ports() {
        for (text, all) in [
            ("8080", vec!["0.0.0.0:8080"]),
            ("*", vec!["0.0.0.0:80"]),
            ("*:8080", vec!["0.0.0.0:8080"]),
            ("127.0.0.01", vec!["127.0.0.1:80"]),
            ("8080-8082", vec!["0.0.0.0:8080", "0.0.0.0:8081", "0.0.0.0:8082"]),
            ("127.0.0.1:8080-8081", vec!["127.0.0.1:8080", "127.0.0.1:8081"]),
            ("[::]:8080", vec!["[::]:8080"]),
            ("[::1]", vec!["[::1]:80"]),
            ("UNIX:/run/x", vec!["UNIX:/run/x"]),
        ] {
            assert_eq!(texts(text), Ok(all.into_iter().map(String::from).collect()), "{text}");
        }
    }

    #[test]
    fn complains_in_nginx_words() {
        for (text, words) in [
            ("0", "invalid port"),
            ("65536", "invalid port"),
            ("8080-8079", "invalid port range"),
            ("8080-70000", "invalid port"),
            ("127.0.0.1:", "invalid port"),
            ("127.0.0.1:80:80", "invalid port"),
            (":80", "no host"),
            ("", "no host"),
            ("127.0.0.1/x", "invalid host"),
            ("[::1", "invalid host"),
            ("[::1]80", "invalid host"),
            ("[]:80", "no host"),
            ("[::g]:80", "invalid IPv6 address"),
            ("unix:", "no path in the unix domain socket"),
        ] {
            assert_eq!(texts(text), Err(words), "{text}");
        }
    }
}
