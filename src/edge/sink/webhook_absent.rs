//! Stands in for web servers in a program without the feature `web`.

use super::spec::{Kind, SinkSpecError};

/// A web server; there is none here.
pub(super) const KIND: Kind = Kind {
    words: &[],
    schemes: &["http", "https"],
    forms: &[],
    read: |_| {
        let message = "this hptune was built without web servers (the feature `web`)".to_owned();
        Err(SinkSpecError { message, hint: None })
    },
};
