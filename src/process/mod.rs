//! Master and worker: privileges, sockets handed on, signals, reload.

mod bundle;
mod channel;
mod children;
mod config;
mod folders;
mod fork;
mod logs;
mod lost;
mod master;
mod notify;
mod pid;
mod privileges;
mod running;
mod signals;
mod single;
mod sockets;
mod start;
mod ticket;
mod title;
mod upgrade;
mod user;
mod wait;
mod worker;

pub use config::{Compiled, Setup, form_of, temporary_folders};
pub use running::say;
pub use signals::Order;
pub use start::{Call, Say, serve, signal, test};
pub use title::keep_name;
pub use user::find as find_user;
