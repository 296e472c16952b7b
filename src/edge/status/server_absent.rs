//! Stands in for the server of the status page in a program without the feature `web`.

use std::future::{Future, Pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Figures;

/// No server can be had.
///
/// # Errors
/// Always: the program was built without the status page.
pub async fn serve(
    _address: SocketAddr,
    _figures: Vec<Arc<Figures>>,
) -> io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let absent: io::Result<(SocketAddr, Pending<()>)> = Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this hptune was built without the status page (the feature `web`)",
    ));
    absent
}
