//! The machinery behind `proxy_pass` and its kin: peers, connections to them, a request out and an answer back.
//!
//! A module says what is sent and how headers change; everything else is here. Nothing in this room runs a task of its
//! own for a request: the answer is read by whoever sends it on.

mod address;
mod answer;
mod attempt;
mod balance;
mod bind;
mod buffer;
mod cache;
mod choice;
mod conf;
mod decode;
mod dns;
mod exchange;
mod fastcgi;
mod follow;
mod grave;
pub(crate) mod grpc;
mod head;
mod lease;
mod memcached;
mod named;
mod ocsp;
mod passage;
mod peers;
mod pool;
mod records;
mod relay;
mod resolve;
mod said;
mod send;
mod socket;
mod stop;
mod store;
mod tunnel;
mod url;
mod wanted;

pub(crate) use address::Address;
pub(crate) use answer::{Rewrite, Unchanged, respond};
pub(crate) use balance::Balance;
pub(crate) use bind::{Bind, BindAddress, parse_address};
pub(crate) use buffer::Buffer;
pub(crate) use cache::{CacheConf, Caching, Zone, from_cache};
pub(crate) use conf::{Conf, Names, NextOn, Upstream};
pub(crate) use dns::Resolver;
pub(crate) use exchange::Exchange;
pub(crate) use follow::Follower;
pub(crate) use grpc::{append_field, append_indexed, append_named};
pub(crate) use head::{FastCgi, Protocol};
pub(crate) use memcached::Lookup;
pub(crate) use named::Named;
pub(crate) use ocsp::{BadResponder, responder};
pub(crate) use passage::{Attempt, Passage};
pub(crate) use peers::{Health, Host, Peer, Peers};
pub(crate) use pool::KeepAlive;
pub(crate) use records::{RECORD_HEAD, RecordType, record_head};
pub(crate) use resolve::host as resolve_host;
pub(crate) use send::Content;
pub(crate) use stop::Stop;
pub(crate) use store::StoreConf;
pub(crate) use url::{UriPart, Url, parse as parse_url};
pub(crate) use wanted::BodyWanted;
