//! What a reload takes away, by name: whoever meant something else sees it at once.

use std::collections::BTreeSet;

use crate::http::{Cycle, Listen};
use crate::log::{ErrorLog, Level};

/// Says which addresses and server names the old configuration had and the new one has not.
pub fn say(old: &Cycle, new: &Cycle, log: &ErrorLog) {
    for listen in &old.listens {
        let address = &listen.spec.text;
        match new.listens.iter().find(|other| other.spec.address == listen.spec.address) {
            None => log.say(Level::Notice, format_args!("the new configuration no longer listens on {address}")),
            Some(other) => {
                for name in names(listen).difference(&names(other)) {
                    let what = "the new configuration no longer has server name";
                    log.say(Level::Notice, format_args!("{what} \"{name}\" on {address}"));
                }
            }
        }
    }
}

fn names(listen: &Listen) -> BTreeSet<String> {
    let all = listen.by_address.iter().map(|(_, servers)| servers).chain([&listen.servers]);
    all.flat_map(|servers| servers.names.names()).map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
}
