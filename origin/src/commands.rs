//! What the commands ask of the admin listener: what is to be done, how far it is, who is there.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /v1/update` `{"proxy"}` or `{"domain"}` or neither, and perhaps `{"path"}` | 202 `{"ids"}` |
//! | `GET /v1/orders`, `GET /v1/orders?ids=1,2` | the newest orders, or these |
//! | `GET /v1/orders/ID` | one of them |
//! | `GET /v1/nodes` | who has reported |
//! | `GET /v1/jobs`, `GET /v1/jobs/NAME` | how jobs stand, or one of them, agent by agent |
//! | `DELETE /v1/members/NAME` | 204: the name can enrol anew |
//!
//! Whatever changes something is for programs of this machine: it comes from a loopback address, and not from a page in a browser there.

use http::Method;
use protocol::{problem::Kind, target::Target};
use serve::{
    handler::{Answer, Client},
    request::Request,
    response::Response,
};

use crate::{
    answer,
    control::{Control, with_json, work},
};

/// Bytes of a question.
const BYTES_MAX: usize = 64 << 10;

/// Answers what is a command's; `None` of all else.
pub(crate) fn answer(control: &Control, request: &Request<'_>, client: &Client) -> Option<Answer> {
    let target = Target::parse(request.target).ok()?;
    let path = target.path().to_owned();
    let (of_order, of_member) = (path.strip_prefix("/v1/orders/"), path.strip_prefix("/v1/members/"));
    let this = control.clone();
    Some(match (&request.method, path.as_str()) {
        (&Method::GET | &Method::HEAD, "/v1/orders") => {
            let ids = target.query_value("ids").map(|ids| String::from_utf8_lossy(&ids).into_owned());
            Answer::Now(work::orders(control, ids.as_deref()))
        }
        (&Method::GET | &Method::HEAD, "/v1/nodes") => Answer::later(this.aside(move |control| control.nodes(&target))),
        (&Method::GET | &Method::HEAD, path) if path == "/v1/jobs" || path.starts_with("/v1/jobs/") => {
            Answer::later(this.aside(move |control| control.jobs(&target)))
        }
        (&Method::GET | &Method::HEAD, _) if of_order.is_some() => {
            Answer::Now(work::order(control, of_order.unwrap_or_default()))
        }
        (&Method::POST, "/v1/update") => match refused(request, client) {
            Some(refused) => Answer::Now(refused),
            None => {
                with_json(request, BYTES_MAX, move |wanted| this.aside(move |control| work::update(&control, &wanted)))
            }
        },
        (&Method::DELETE, _) if of_member.is_some() => match refused(request, client) {
            Some(refused) => Answer::Now(refused),
            None => {
                let name = of_member.unwrap_or_default().to_owned();
                Answer::later(this.aside(move |control| work::forget(&control, &name)))
            }
        },
        _ => return None,
    })
}

/// Why somebody may not change anything.
fn refused(request: &Request<'_>, client: &Client) -> Option<Response> {
    let is_here = client.address.ip().to_canonical().is_loopback();
    if !is_here {
        return Some(answer::problem(
            Kind::NotAllowed,
            "only programs of the origin's own machine may change anything; run the command there",
        ));
    }
    // Browsers say so with `Origin`, programs do not send it.
    let is_page = request.fields.first("Origin").is_some();
    is_page.then(|| {
        answer::problem(Kind::NotAllowed, "a web page may not change anything here; use the commands of outpost-origin")
    })
}
