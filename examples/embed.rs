//! A program of its own that mounts a site file inside a hyper server, beside a page that it makes itself.
//!
//! ```sh
//! cargo run --example embed -- my_shop.conf 127.0.0.1:8080
//! ```

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rnginx::Site;
use tokio::net::TcpListener;
use tower::ServiceExt;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (file, address) = args.next().zip(args.next()).ok_or("usage: embed SITE_FILE ADDRESS:PORT")?;
    let site = Site::from_file(&file)?;
    let listener = TcpListener::bind(&address).await?;
    println!("{file} is mounted at http://{}/", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let site = site.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            respond(site.clone(), request)
        });
        tokio::spawn(async move {
            let connection = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// `/about` is the program's own; everything else is the site's.
async fn respond(site: Site, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/about" {
        let page = Full::new(Bytes::from_static(b"This page is the program's, the rest is the site's.\n"));
        return Ok(Response::new(page.map_err(|never| match never {}).boxed_unsync()));
    }
    Ok(site.oneshot(request).await?.map(BodyExt::boxed_unsync))
}
