//! The request-time kit: HTTP's own things first, which know no socket and no configuration; then what a
//! compiled configuration is made of and what a request meets in it.
//!
//! Nothing here sees a tree, a directive or configuration text: the request path cannot parse.

pub(crate) mod base64;
pub(crate) mod browser;
pub(crate) mod clock;
pub(crate) mod crc32;
pub(crate) mod date;
pub(crate) mod disk;
pub mod doing;
pub(crate) mod escape;
pub(crate) mod header_id;
pub(crate) mod headers;
pub(crate) mod host;
pub(crate) mod md5;
pub(crate) mod method;
pub(crate) mod sha1;
pub(crate) mod status;
pub(crate) mod uri;
pub(crate) mod utf8;
pub(crate) mod version;

mod background;
mod body;
mod connection;
mod counts;
mod credentials;
mod cycle;
mod digest;
mod entry;
mod file;
mod hash;
mod head;
mod hosts;
mod location;
mod memory_body;
mod path;
mod phase;
pub(crate) mod proxy_protocol;
mod recent;
mod regex;
mod request;
mod request_body;
mod request_log;
mod response;
mod script;
mod stored_body;
mod temp_file;
mod timer;
mod tls_info;
mod tunnel;
mod types;
mod variable;
mod zone;

pub(crate) use background::{Background, BackgroundWork};
pub use body::{Body, BodyCut, BodyError, BodySource, BodyStream, Chunk, FileRange};
pub use connection::{Client, Connection, TcpInfo};
pub use counts::{Count, Counted, Meter, count, share_counts};
pub use credentials::Credentials;
pub use cycle::{
    Choice, Cycle, EnvVar, KeepAlive, Listen, ListenAddress, ListenSpec, ProcessConf, Server, ServerId, User,
    VirtualServers,
};
pub(crate) use escape::{Escape, escaped};
pub use file::{FileFault, FileKind, FileStat, OpenedFile, open_file, read_range, stat_file};
pub use hash::{NameHash, NameMap};
pub use head::Head;
pub(crate) use header_id::HeaderId;
pub(crate) use headers::Headers;
pub use hosts::{HostFault, HostTable};
pub use location::{
    BodyInFile, CoreConf, ErrorAnswer, ErrorPage, Extensions, Found, IfModifiedSince, KeepaliveDisable, LimitExcept,
    LingeringClose, Location, LocationId, LocationKind, LocationTree, LocationTreeParts, Locations, Root, Types,
    find_location,
};
pub use memory_body::{MemoryBody, Piece};
pub(crate) use method::Method;
pub use phase::{Filter, FilterSlot, Flow, FlowFuture, LogHandler, Phase, PhaseHandler};
pub use proxy_protocol::ProxyHeader;
pub use recent::Recent;
pub use regex::{Captures, MatchLimit, Regex};
pub use request::{
    Engine, Incoming, Local, Request, SentHead, Stub, Subrequest, SubrequestFuture, ThreadState, TooDeep, UpstreamInfo,
};
pub use request_body::RequestBody;
pub use response::Response;
pub use script::{Part, Script, is_true};
pub(crate) use status::ServerTokens;
pub use stored_body::StoredBody;
pub use temp_file::{Lifetime, TempFile, TempFileError, TempFolders, TempPath};
pub use timer::Deadline;
pub use tls_info::{TlsInfo, VerifyFault};
pub use tunnel::{ClientIo, Tunnel};
pub use types::MediaTypes;
pub use variable::{BuiltinGet, Compute, GetFn, Getter, VarIndex, VarSlots, Variable, VariableDef, VariableNames};
pub(crate) use version::Version;
pub use zone::{ZoneKey, shared_zone};
