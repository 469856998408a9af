//! `[access]`: who may ask, for files and for what the admin interface does.

use super::{Kind, Proxy};

pub(super) const ALLOW: Proxy = Proxy::reload(
    "access.allow",
    "Clients that are served, by ranges of addresses or by the addresses of their network cards (MAC); none = all.",
    "Others are answered 403 `not-allowed`. What counts is the client, not a proxy of `serve.trusted` in between. MAC addresses are known of clients in the same network, \
     not of those behind a router, and anybody can take another: they keep order, not thieves out. `52:54:00:00:00:00/24` are all cards of a maker.",
    Kind::Rules { put: |s, v| s.serve.clients.access.allow = v, get: |s| s.serve.clients.access.allow.clone() },
);

pub(super) const DENY: Proxy = Proxy::reload(
    "access.deny",
    "Clients that are not served, written likewise, whatever `allow` says.",
    "A client whose MAC address is not known is denied by no MAC address. What was begun goes on; the next request is refused.",
    Kind::Rules { put: |s, v| s.serve.clients.access.deny = v, get: |s| s.serve.clients.access.deny.clone() },
);

pub(super) const ADMIN_TOKEN_FILE: Proxy = Proxy::reload(
    "access.admin_token_file",
    "File with the token that the admin interface wants to see (`Authorization: Bearer TOKEN`); none = it asks for none.",
    "Needed where `admin` is no loopback address. Make one by `(umask 077; head -c 32 /dev/urandom | base64 > FILE)`. `/healthz` and `/readyz` ask for none, nor does \
     a Unix socket: its permissions say who may open it. Over the network the token can be read along: let a VPN or a proxy with TLS carry it.",
    Kind::File { put: |s, v| s.admin_token_file = v, get: |s| s.admin_token_file.clone() },
);
