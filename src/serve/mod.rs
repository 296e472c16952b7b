//! `hptune serve`: jobs as a service, over HTTP.
//!
//! Layer 9. One port has everything: the jobs of `ml.googleapis.com` v1 (`ml`), our own methods below `/api/v1` (`own`), and
//! the page. What it knows is in the store, where `hptune run` puts its jobs too; it keeps nothing that cannot be read
//! there again. Each job that it starts is a process of its own ([`executor`]), which outlives it: the store's leases and
//! requests are all that they have in common.
//!
//! Calls of the store and of files block, and run on threads for that (`stores`); all else is one thread's.

mod access;
mod body;
mod buckets;
mod connection;
mod create;
mod entry_filter;
mod error;
pub mod executor;
mod feed;
mod filter;
mod importance;
mod labels;
mod launcher;
mod limits;
mod log_times;
mod logging;
mod ml;
mod openapi;
mod own;
mod page;
mod paging;
pub mod report;
mod reporter;
mod snapshots;
mod storage;
mod stores;
mod summary;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::app::Failure;
use crate::app::prepare::store_failure;
use crate::edge::host::raise_handle_limit;
use crate::edge::signals::{HANGUP, SignalEvent, Signals};
use crate::edge::sink::Token;
use access::Access;
use error::{ApiError, Code};
use feed::Feed;
use importance::Importances;
use launcher::Launcher;
use reporter::Reporter;
use snapshots::Snapshots;
use storage::Uploads;
use stores::Stores;

/// What to serve, and to whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on; port 0 takes any.
    pub listen: SocketAddr,
    /// The job store.
    pub store: PathBuf,
    /// How many jobs that were submitted here run at once.
    pub max_jobs: NonZeroUsize,
    /// Whether they are cancelled when the service is ended.
    pub cancels_on_exit: bool,
    /// The file with the token that requests must have.
    pub token_file: Option<PathBuf>,
    /// Names that requests may be for, beside those of this machine itself.
    pub hosts: Vec<String>,
    /// What submitted commands may begin with; needed where `listen` is no loopback address.
    pub commands: Vec<String>,
    /// The directories that stand for buckets, by their names.
    pub buckets: BTreeMap<String, PathBuf>,
    /// The certificate chain and its key, in PEM, for TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    options: Options,
    access: Access,
    stores: Arc<Stores>,
    snapshots: Snapshots,
    importances: Importances,
    launcher: Launcher,
    reporter: Reporter,
    uploads: Uploads,
    feed: Arc<Feed>,
    streams: Arc<Semaphore>,
    /// Turns of those who read what trials wrote.
    reads: Arc<Semaphore>,
}

type App = State<Arc<Shared>>;

/// The parameters behind the `?` of an address.
type Queried = Query<HashMap<String, String>>;

/// What a mutex guards; each holder leaves it whole, also one that panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until a signal ends it. `tell` gets what there is to say: first of all where it listens. The answer is the
/// process's exit code.
///
/// # Errors
/// The address, the store, the token or the certificate cannot be used.
pub fn serve(options: Options, tell: &mut dyn FnMut(&str)) -> Result<u8, Failure> {
    let token = options.token_file.as_ref().map(|path| read_token(path)).transpose()?;
    if !options.listen.ip().is_loopback() && token.is_none() {
        let message =
            format!("--listen {}: whoever reaches that address could start programs", options.listen);
        return Err(Failure::usage(message).with_hint("give a token with --token-file FILE"));
    }
    let tls = options.tls.as_ref().map(|(chain, key)| tls::acceptor(chain, key)).transpose()?;
    let stores = Arc::new(Stores::new(&options.store));
    // Made where there is none, and brought to this version.
    stores.open().map_err(store_failure)?;
    let handles = raise_handle_limit();
    let failed = |e: std::io::Error| Failure::outside(format!("cannot start: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen)
            .await
            .map_err(|e| Failure::outside(format!("--listen {}: {e}", options.listen)))?;
        let address = listener.local_addr().map_err(failed)?;
        let mut signals =
            Signals::listen().map_err(|e| Failure::outside(format!("cannot listen for signals: {e}")))?;
        let shared = Arc::new(Shared {
            access: Access::new(address.ip(), token, &options.hosts, &options.commands),
            snapshots: Snapshots::default(),
            importances: Importances::default(),
            launcher: Launcher::new(stores.clone(), options.max_jobs, handles),
            reporter: Reporter::start(stores.clone()).map_err(failed)?,
            stores,
            uploads: Uploads::new(options.buckets.values()),
            feed: Arc::new(Feed::new(format!("{:x}", jiff::Timestamp::now().as_millisecond()))),
            streams: Arc::new(Semaphore::new(feed::MAX_STREAMS)),
            reads: Arc::new(Semaphore::new(limits::MAX_FILE_READS)),
            options,
        });
        let (end, ended) = watch::channel(false);
        let router = router(shared.clone());
        let serving = tokio::spawn(connection::accept(listener, tls.clone(), router, ended.clone()));
        let looking = tokio::spawn(launcher::run(shared.clone(), ended));
        let scheme = if tls.is_some() { "https" } else { "http" };
        tell(&format!("serving on {scheme}://{address}/ (Ctrl-C ends it)"));
        loop {
            match signals.next().await {
                SignalEvent::End(HANGUP) => tell("the terminal went away; serving goes on"),
                SignalEvent::End(_) => break,
                SignalEvent::Child => shared.launcher.wake(),
                SignalEvent::Other(_) => {}
            }
        }
        let _ = end.send(true);
        let _ = looking.await;
        let said = launcher::leave(&shared, &mut signals).await;
        tell(&said);
        let _ = serving.await;
        Ok(0)
    })
}

fn read_token(path: &std::path::Path) -> Result<String, Failure> {
    let place = format!("--token-file {}", path.display());
    let text = Token::read(path).map_err(|e| Failure::usage(format!("{place}: {e}")))?;
    let token = text.trim();
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::usage(format!("{place}: want one word of visible ASCII characters")));
    }
    Ok(token.to_owned())
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .merge(ml::routes())
        .merge(own::routes())
        .merge(storage::routes())
        .merge(logging::routes())
        .layer(middleware::from_fn_with_state(shared.clone(), check_token))
        // What is shown before anybody has given a token.
        .merge(page::routes())
        .merge(openapi::routes())
        .fallback(async || ApiError::not_found("there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            ApiError::new(Code::MethodNotAllowed, "this address does not take this method")
        })
        .layer(middleware::from_fn(name_methods))
        .layer(middleware::from_fn(body::compress))
        .layer(middleware::from_fn_with_state(shared.clone(), check_source))
        .with_state(shared)
}

/// Says which methods an address takes that was asked by another one. `JOB` and what is called on it, `JOB:cancel`, are one
/// route.
async fn name_methods(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(methods) = methods_of(&path)
    {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    response
}

fn methods_of(path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let last = segments.last()?;
    match *segments {
        ["v1", "projects", _, "jobs", _]
        | ["api", "v1", "jobs", _]
        | ["api", "v1", "jobs", _, "trials", _]
            if last.contains(':') =>
        {
            Some("POST")
        }
        ["v1", "projects", _, "jobs", _] => Some("GET,HEAD,PATCH"),
        ["api", "v1", "jobs", _] => Some("GET,HEAD"),
        _ => None,
    }
}

async fn check_source(State(shared): App, request: Request, next: Next) -> Response {
    match shared.access.check_source(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(e) => e.into_response(),
    }
}

async fn check_token(State(shared): App, request: Request, next: Next) -> Response {
    match shared.access.check_token(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(e) => e.into_response(),
    }
}
