//! The configuration of each server, as it is written out. Pure.
//!
//! Each as its experts would: one worker (the comparison is on one core), no access log, files kept open, the object in the cache.

use std::{net::SocketAddr, path::Path};

/// Where the parts of nginx listen: one process, one cache, one listener per setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NginxPorts {
    /// With `tcp_nopush`.
    pub(crate) plain: u16,
    /// Without it.
    pub(crate) no_push: u16,
    /// With `aio threads`, where it was built with them.
    pub(crate) aio: Option<u16>,
}

/// A listener for TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tls<'a> {
    pub(crate) port: u16,
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
}

/// Outpost's own.
pub(crate) fn outpost(directory: &Path, (port, admin): (u16, u16), tls: Option<Tls<'_>>, origin: SocketAddr) -> String {
    let cache = directory.join("cache");
    let tls = tls.map_or(String::new(), |tls| {
        let (port, certificate, key) = (tls.port, tls.certificate.display(), tls.key.display());
        format!("[tls]\nlisten = [\"127.0.0.1:{port}\"]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n\n")
    });
    format!(
        r#"# Written by outpost-bench compare. Start: outpost-proxy --config FILE --max-requesters 0
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
mode = "fetch"

[cache]
dir = "{}"
max_size = "95%"
min_free = "1GB"

[serve]
workers = 1
connections_per_client_max = 0
idle_timeout = "1h"

{tls}[[upstream]]
name = "origin"
mount = "/"
url = "http://{origin}/"
"#,
        cache.display()
    )
}

/// nginx as a caching proxy. `user` is the one it stays, where it starts as root: else its worker could not read its own cache.
pub(crate) fn nginx(
    directory: &Path,
    ports: NginxPorts,
    tls: Option<Tls<'_>>,
    origin: SocketAddr,
    user: Option<&str>,
) -> String {
    let here = directory.display();
    let pass = format!("location / {{ proxy_pass http://{origin}; }}");
    let aio = ports.aio.map_or(String::new(), |port| {
        format!("  server {{ listen 127.0.0.1:{port} backlog=4096; aio threads; {pass} }}\n")
    });
    let tls = tls.map_or(String::new(), |tls| {
        let (port, certificate, key) = (tls.port, tls.certificate.display(), tls.key.display());
        let keys = format!("ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;");
        format!("  server {{ listen 127.0.0.1:{port} ssl backlog=4096; {keys} {pass} }}\n")
    });
    let user = user.map_or(String::new(), |user| format!("user {user};\n"));
    let NginxPorts { plain, no_push, .. } = ports;
    format!(
        r#"# Written by outpost-bench compare. Start: nginx -p DIR -c FILE
{user}worker_processes 1;
daemon off;
pid {here}/nginx.pid;
error_log {here}/error.log;
events {{ worker_connections 15000; }}
http {{
  sendfile on;
  tcp_nopush on;
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  open_file_cache max=10000 inactive=600s;
  open_file_cache_valid 600s;
  client_body_temp_path {here}/body;
  proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi;
  scgi_temp_path {here}/scgi;
  proxy_cache_path {here}/cache levels=1:2 keys_zone=objects:50m max_size=200g inactive=1d use_temp_path=off;
  proxy_cache objects;
  proxy_cache_valid 200 1d;
  proxy_cache_lock on;
  proxy_cache_lock_timeout 1h;
  proxy_cache_lock_age 1h;
  proxy_max_temp_file_size 0;
  proxy_read_timeout 1h;
  types {{ }}
  default_type application/octet-stream;
  server {{ listen 127.0.0.1:{plain} backlog=4096; {pass} }}
  server {{ listen 127.0.0.1:{no_push} backlog=4096; tcp_nopush off; {pass} }}
{aio}{tls}}}
"#
    )
}

/// Varnish's VCL; the rest of it is on its command line.
pub(crate) fn varnish(origin: SocketAddr) -> String {
    format!(
        r#"# Written by outpost-bench compare.
vcl 4.1;
backend default {{
  .host = "{}";
  .port = "{}";
  .first_byte_timeout = 3600s;
  .between_bytes_timeout = 3600s;
}}
sub vcl_backend_response {{ set beresp.ttl = 1d; set beresp.grace = 0s; }}
"#,
        origin.ip(),
        origin.port()
    )
}

/// Varnish's command line. Objects lie in memory: its other storage is for what does not fit there.
pub(crate) fn varnish_arguments(directory: &Path, vcl: &Path, port: u16, memory: u64) -> Vec<String> {
    let mut arguments: Vec<String> = ["-F", "-j", "none", "-T", "none", "-n"].map(str::to_owned).into();
    arguments.push(directory.join("work").display().to_string());
    arguments.extend(["-f".into(), vcl.display().to_string(), "-a".into(), format!("127.0.0.1:{port}")]);
    arguments.extend(["-s".into(), format!("malloc,{memory}")]);
    for parameter in
        ["thread_pools=1", "thread_pool_min=200", "thread_pool_max=5000", "timeout_idle=3600", "listen_depth=4096"]
    {
        arguments.extend(["-p".into(), parameter.into()]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "127.0.0.1:7000";

    fn tls() -> Option<Tls<'static>> {
        Some(Tls { port: 9443, certificate: Path::new("/w/tls.crt"), key: Path::new("/w/tls.key") })
    }

    #[test]
    fn outpost_has_one_reactor_and_the_origin() {
        let text = outpost(Path::new("/w/outpost"), (9000, 9001), None, ORIGIN.parse().unwrap());
        let listen = "listen = [\"127.0.0.1:9000\"]";
        for part in [listen, "workers = 1", "dir = \"/w/outpost/cache\"", "http://127.0.0.1:7000/"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("[tls]"));
        let text = outpost(Path::new("/w/outpost"), (9000, 9001), tls(), ORIGIN.parse().unwrap());
        let wanted =
            "[tls]\nlisten = [\"127.0.0.1:9443\"]\ncertificate = \"/w/tls.crt\"\nkey = \"/w/tls.key\"\n\n[[upstream]]";
        assert!(text.contains(wanted), "{text}");
    }

    #[test]
    fn nginx_has_a_listener_per_setting_over_one_cache() {
        let ports = NginxPorts { plain: 9000, no_push: 9001, aio: Some(9002) };
        let text = nginx(Path::new("/w/nginx"), ports, tls(), ORIGIN.parse().unwrap(), Some("root"));
        for part in [
            "user root;\nworker_processes 1;",
            "listen 127.0.0.1:9000 backlog=4096; location",
            "listen 127.0.0.1:9001 backlog=4096; tcp_nopush off;",
            "listen 127.0.0.1:9002 backlog=4096; aio threads;",
            "listen 127.0.0.1:9443 ssl backlog=4096; ssl_certificate /w/tls.crt;",
            "proxy_cache_path /w/nginx/cache ",
            "access_log off;",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        let ports = NginxPorts { aio: None, ..ports };
        let text = nginx(Path::new("/w"), ports, None, ORIGIN.parse().unwrap(), None);
        assert!(!text.contains("user ") && !text.contains("aio") && !text.contains("ssl"), "{text}");
    }

    #[test]
    fn varnish_keeps_objects_in_memory_in_one_pool() {
        assert!(varnish(ORIGIN.parse().unwrap()).contains(".port = \"7000\""));
        let arguments = varnish_arguments(Path::new("/w/varnish"), Path::new("/w/v.vcl"), 9000, 1 << 30).join(" ");
        assert!(arguments.contains("-n /w/varnish/work -f /w/v.vcl -a 127.0.0.1:9000 -s malloc,1073741824 "));
        assert!(arguments.contains("-p thread_pools=1 "), "{arguments}");
    }
}
