//! Who may ask for what: the token, the `Host` and the `Origin` of a request, and the commands that may be run.
//!
//! A page of another site that a browser has open can send requests here, and can have its own name resolve to this
//! address (DNS rebinding). The first are known by their `Origin`, the second by their `Host`.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use subtle::ConstantTimeEq;

use super::error::{ApiError, Code};

/// What is required of requests.
#[derive(Debug)]
pub(super) struct Access {
    /// The token that each request must have.
    token: Option<String>,
    /// Names and addresses that `Host` may have.
    hosts: Vec<String>,
    /// Whether `Host` may have any name: whoever has the token is no stranger.
    is_any_host: bool,
    /// The commands that may be run, as the words that they begin with; `None`: any.
    commands: Option<Vec<Vec<String>>>,
}

impl Access {
    /// Of a service that listens on `listen`.
    pub(super) fn new(listen: IpAddr, token: Option<String>, hosts: &[String], commands: &[String]) -> Self {
        let is_local = listen.is_loopback();
        let mut known: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        known.push(match listen {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
        known.extend(hosts.iter().map(|host| host.to_ascii_lowercase()));
        let words = |command: &String| command.split_whitespace().map(str::to_owned).collect();
        Self {
            is_any_host: !is_local && hosts.is_empty() && token.is_some(),
            token,
            hosts: known,
            commands: (!is_local || !commands.is_empty()).then(|| commands.iter().map(words).collect()),
        }
    }

    /// Checks where a request was sent to and where it comes from.
    ///
    /// # Errors
    /// 403: another name than ours, or another site's page.
    pub(super) fn check_source(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let refuse = |what: String| Err(ApiError::new(Code::PermissionDenied, what));
        let named = || headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok();
        let Some(host) = uri.authority().cloned().or_else(named) else {
            return refuse("the request names no host".into());
        };
        let is_known = self.hosts.iter().any(|known| host.host().eq_ignore_ascii_case(known));
        if !self.is_any_host && !is_known {
            return refuse(format!(
                "the request is for the host `{}`, which is not ours; `--host NAME` adds a name",
                host.host()
            ));
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            return match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
                Some(b"cross-site")
                    if headers.get("sec-fetch-mode").is_none_or(|mode| mode != "navigate") =>
                {
                    refuse("the request comes from another site's page".into())
                }
                _ => Ok(()),
            };
        };
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        match origin.as_ref().and_then(Uri::authority) {
            Some(origin) if origin.as_str().eq_ignore_ascii_case(host.as_str()) => Ok(()),
            _ => refuse("the request comes from another site's page".into()),
        }
    }

    /// Checks a request's token, where one is required, in a time that tells nothing of it.
    ///
    /// # Errors
    /// 401: there is none, or another one.
    pub(super) fn check_token(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(wanted) = &self.token else { return Ok(()) };
        let refuse = |what| Err(ApiError::new(Code::Unauthenticated, what));
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return refuse("the request has no `Authorization: Bearer TOKEN`");
        };
        let given = given.as_bytes();
        let given = match given.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
            _ => return refuse("the request's authorization is no bearer token"),
        };
        if bool::from(given.ct_eq(wanted.as_bytes())) {
            Ok(())
        } else {
            refuse("the request has another token")
        }
    }

    /// Checks that a command may be run.
    ///
    /// # Errors
    /// 403: it is not among those that are allowed.
    pub(super) fn check_command(&self, words: &[String]) -> Result<(), ApiError> {
        let Some(commands) = &self.commands else { return Ok(()) };
        if commands.iter().any(|allowed| !allowed.is_empty() && words.starts_with(allowed)) {
            return Ok(());
        }
        let first: Vec<&str> = words.iter().take(3).map(String::as_str).collect();
        Err(ApiError::new(
            Code::PermissionDenied,
            format!(
                "the command `{}` is not allowed here; the service is to be started with --allow-command for it",
                first.join(" ")
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn names_and_pages_of_others_are_refused() {
        #[track_caller]
        fn check(access: &Access, pairs: &[(&'static str, &'static str)], is_taken: bool) {
            assert_eq!(
                access.check_source(&Uri::from_static("/"), &headers(pairs)).is_ok(),
                is_taken,
                "{pairs:?}"
            );
        }
        let local = Access::new(Ipv4Addr::LOCALHOST.into(), None, &[], &[]);
        check(&local, &[("host", "127.0.0.1:8470")], true);
        check(&local, &[("host", "LocalHost:1")], true);
        check(&local, &[("host", "[::1]:8470")], true);
        check(&local, &[], false);
        check(&local, &[("host", "evil.example:8470")], false);
        check(&local, &[("host", "localhost.evil.example")], false);
        check(&local, &[("host", "localhost:1"), ("origin", "http://localhost:1")], true);
        check(&local, &[("host", "localhost:1"), ("origin", "http://localhost:2")], false);
        check(&local, &[("host", "localhost:1"), ("origin", "https://evil.example")], false);
        check(&local, &[("host", "localhost:1"), ("origin", "null")], false);
        check(&local, &[("host", "localhost:1"), ("sec-fetch-site", "cross-site")], false);
        check(
            &local,
            &[("host", "localhost:1"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
            true,
        );
        let far = Access::new(Ipv4Addr::UNSPECIFIED.into(), Some("t".into()), &[], &[]);
        check(&far, &[("host", "tuner.example")], true);
        check(&far, &[("host", "tuner.example"), ("origin", "https://evil.example")], false);
        let named =
            Access::new(Ipv4Addr::UNSPECIFIED.into(), Some("t".into()), &["Tuner.example".into()], &[]);
        check(&named, &[("host", "tuner.example:1")], true);
        check(&named, &[("host", "other.example")], false);
    }

    #[test]
    fn a_token_is_compared_whole() {
        #[track_caller]
        fn check(pairs: &[(&'static str, &'static str)], is_taken: bool) {
            let access = Access::new(Ipv4Addr::LOCALHOST.into(), Some("secret".into()), &[], &[]);
            assert_eq!(access.check_token(&headers(pairs)).is_ok(), is_taken, "{pairs:?}");
        }
        check(&[("authorization", "Bearer secret")], true);
        check(&[("authorization", "bearer secret")], true);
        check(&[("authorization", "Bearer secre")], false);
        check(&[("authorization", "Bearer secret2")], false);
        check(&[("authorization", "Bearer ")], false);
        check(&[("authorization", "Basic secret")], false);
        check(&[], false);
    }

    #[test]
    fn over_the_network_only_listed_commands_run() {
        #[track_caller]
        fn check(listen: Ipv4Addr, allowed: &[&str], command: &[&str], is_taken: bool) {
            let allowed: Vec<String> = allowed.iter().map(|c| (*c).to_owned()).collect();
            let words: Vec<String> = command.iter().map(|c| (*c).to_owned()).collect();
            let access = Access::new(listen.into(), Some("t".into()), &[], &allowed);
            assert_eq!(access.check_command(&words).is_ok(), is_taken, "{command:?}");
        }
        check(Ipv4Addr::LOCALHOST, &[], &["sh"], true);
        check(Ipv4Addr::LOCALHOST, &["python3"], &["sh"], false);
        check(Ipv4Addr::UNSPECIFIED, &[], &["sh"], false);
        check(
            Ipv4Addr::UNSPECIFIED,
            &["python3 -m trainer.task"],
            &["python3", "-m", "trainer.task", "-x"],
            true,
        );
        check(Ipv4Addr::UNSPECIFIED, &["python3 -m trainer.task"], &["python3", "-m", "trainer"], false);
        check(Ipv4Addr::UNSPECIFIED, &[""], &["sh"], false);
    }
}
