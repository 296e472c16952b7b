//! The server of the status page.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::Figures;

/// Listens on `address` and serves `/healthz` and `/metrics`. The address is the one that was taken, where port 0
/// was asked for; the future never ends.
///
/// # Errors
/// Errors of listening.
pub async fn serve(
    address: SocketAddr,
    figures: Vec<Arc<Figures>>,
) -> io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let of_health = figures.clone();
    let router = Router::new()
        .route(
            "/healthz",
            get(move || {
                let is_well = of_health.iter().any(|sink| !sink.has_ended.load(Ordering::Relaxed));
                let code = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                async move { (code, if is_well { "ok\n" } else { "no sink is left\n" }) }
            }),
        )
        .route(
            "/metrics",
            get(move || {
                let text = metrics(&figures);
                async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response() }
            }),
        );
    let serving = async move {
        // It ends only with the process.
        let _ = axum::serve(listener, router).await;
    };
    Ok((address, serving))
}

/// The figures in Prometheus' text format 0.0.4.
fn metrics(figures: &[Arc<Figures>]) -> String {
    type Read = fn(&Figures) -> f64;
    let read: [(&str, &str, &str, Read); 6] = [
        ("points_total", "counter", "Values delivered", |f| count(&f.n_points)),
        ("left_out_total", "counter", "Values left out, as was asked for", |f| count(&f.n_left_out)),
        ("damages_total", "counter", "Stretches of files that gave no event", |f| count(&f.n_damages)),
        ("files", "gauge", "Files that are followed", |f| count(&f.n_files)),
        ("queued_lines", "gauge", "Lines read and not yet delivered", |f| count(&f.n_queued)),
        ("lag_seconds", "gauge", "From the clock of the last value to its delivery", |f| {
            count(&f.lag_ms) / 1000.0
        }),
    ];
    let mut text = String::new();
    for (name, kind, help, read) in read {
        let _ = writeln!(text, "# HELP hptune_{name} {help}\n# TYPE hptune_{name} {kind}");
        for sink in figures {
            let label = sink.name.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = writeln!(text, "hptune_{name}{{sink=\"{label}\"}} {}", read(sink));
        }
    }
    text
}

fn count(figure: &AtomicU64) -> f64 {
    figure.load(Ordering::Relaxed) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_as_prometheus_reads_them() {
        let figures = Figures { name: "file:a\"b".into(), lag_ms: 1_500.into(), ..Figures::default() };
        let text = metrics(&[Arc::new(figures)]);
        assert!(text.contains("# TYPE hptune_points_total counter\n"), "{text}");
        assert!(text.contains("hptune_lag_seconds{sink=\"file:a\\\"b\"} 1.5\n"), "{text}");
    }
}
