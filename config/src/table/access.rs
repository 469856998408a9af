//! `[access]`: who may ask, for files and for what the admin interface does.

use super::{Kind, Proxy};

pub(super) const ADMIN_TOKEN_FILE: Proxy = Proxy::reload(
    "access.admin_token_file",
    "File with the token that the admin interface wants to see (`Authorization: Bearer TOKEN`); none = it asks for none.",
    "Needed where `admin` is no loopback address. Make one by `(umask 077; head -c 32 /dev/urandom | base64 > FILE)`. `/healthz` and `/readyz` ask for none, nor does \
     a Unix socket: its permissions say who may open it. Over the network the token can be read along: let a VPN or a proxy with TLS carry it.",
    Kind::File { put: |s, v| s.admin_token_file = v, get: |s| s.admin_token_file.clone() },
);
