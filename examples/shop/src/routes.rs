//! Which request gets which answer.

use std::io;

use serde_json::{Value, json};

use crate::catalogue::{self, PRODUCTS};
use crate::http::{Connection, Request, Response};
use crate::orders::Refused;
use crate::server::Shop;
use crate::{events, page, say, tasks, websocket};

/// Answers one request. Returns whether the connection goes on.
pub(crate) fn answer(shop: &Shop, connection: &mut Connection, request: &Request) -> io::Result<bool> {
    let mut text = Vec::new();
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/ws") => return websocket::echo(shop, connection, request).map(|()| false),
        ("GET", "/api/events") => return events::stream(shop, connection, request).map(|()| false),
        ("POST", "/upload") => {
            let mut sum = 0_u64;
            let bytes =
                connection.body(request, |piece| sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>())?;
            text = json!({"bytes": bytes, "sum": sum}).to_string().into_bytes();
        }
        _ => drop(connection.body(request, |piece| text.extend_from_slice(piece))?),
    }
    let response = respond(shop, request, &text);
    let keep_alive = request.keeps_alive() && !shop.is_ending();
    connection.answer(&response, keep_alive)?;
    Ok(keep_alive)
}

fn respond(shop: &Shop, request: &Request, body: &[u8]) -> Response {
    let fault = &shop.settings.fault;
    if request.path == "/healthz" {
        return match fault.not_ready() {
            Some(why) => {
                say(&format!("ERROR healthz 503: {why}"));
                Response::text(503, why)
            }
            None => Response::text(200, "ok"),
        };
    }
    std::thread::sleep(fault.delay());
    if fault.errors() {
        say(&format!("ERROR {} {} 500: coupon service answered with nonsense", request.method, request.path));
        return Response::text(500, "the coupon service answered with nonsense");
    }
    if let Some(refused) = shop.limits.refuse(&shop.settings, &request.path) {
        say(&format!("ERROR {} {} {}", request.method, request.path, refused.1));
        return Response::text(refused.0, refused.1);
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => page(shop, request),
        ("GET", "/api/products") => Response::json(200, &products()),
        ("GET", "/api/orders") => orders(shop),
        ("POST", "/api/orders") => order(shop, body),
        ("GET", "/api/about") => Response::json(200, &about(shop)),
        ("GET", "/api/echo") => echo(shop, request),
        ("POST", "/upload") => uploaded(shop, request, body),
        ("GET", "/api/migrations") => {
            or_error(tasks::migrations(&shop.settings).map(|lines| Response::json(200, &lines)))
        }
        ("GET", "/metrics") => or_error(metrics(shop)),
        ("GET", "/api/served") => or_error(shop.served.all().map(|counts| Response::json(200, &counts))),
        _ => Response::text(404, "there is nothing here"),
    }
}

fn page(shop: &Shop, request: &Request) -> Response {
    let counted = shop.orders.count().map(|(waiting, packed)| waiting + packed);
    or_error(counted.map(|count| {
        let html = page::render(&shop.settings, count, request.parameter("q").unwrap_or_default());
        Response::new(200, "text/html; charset=utf-8", html)
    }))
}

fn products() -> Value {
    PRODUCTS
        .iter()
        .map(|p| json!({"id": p.id, "name": p.name, "about": p.blurb, "price": catalogue::price(p.cents)}))
        .collect()
}

fn orders(shop: &Shop) -> Response {
    or_error(shop.orders.count().map(|(waiting, packed)| {
        Response::json(200, &json!({"orders": waiting + packed, "waiting": waiting, "packed": packed}))
    }))
}

/// What the shop measures of itself, as Prometheus reads it: `metrics: /metrics` in the manifest has it asked for.
fn metrics(shop: &Shop) -> io::Result<Response> {
    let (waiting, packed) = shop.orders.count()?;
    let text = format!(
        "# HELP shop_orders Orders that are on disk, by whether they are packed.\n\
         # TYPE shop_orders gauge\n\
         shop_orders{{state=\"waiting\"}} {waiting}\n\
         shop_orders{{state=\"packed\"}} {packed}\n"
    );
    Ok(Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text))
}

fn order(shop: &Shop, body: &[u8]) -> Response {
    let Ok(order) = serde_json::from_slice::<Value>(body) else {
        return Response::text(400, "an order is JSON");
    };
    match shop.orders.take(&order, &shop.settings.replica) {
        Ok(taken) => {
            say(&format!("order {} for {} cents", taken["id"].as_str().unwrap_or("-"), taken["cents"]));
            Response::json(201, &taken)
        }
        Err(Refused::Bad(why)) => Response::text(400, &why),
        Err(Refused::Disk(error)) => or_error(Err(error)),
    }
}

fn about(shop: &Shop) -> Value {
    let settings = &shop.settings;
    json!({
        "version": settings.version, "build": settings.build,
        "replica": settings.replica, "release": settings.release,
    })
}

/// Gives a request its own id back, so that whoever asked knows that the answer is theirs.
fn echo(shop: &Shop, request: &Request) -> Response {
    shop.served.count("echo");
    let mut value = about(shop);
    value["id"] = json!(request.parameter("id"));
    Response::json(200, &value)
}

fn uploaded(shop: &Shop, request: &Request, body: &[u8]) -> Response {
    shop.served.count("upload");
    let mut value: Value = serde_json::from_slice(body).unwrap_or_default();
    value["id"] = json!(request.parameter("id"));
    Response::json(200, &value)
}

fn or_error(result: io::Result<Response>) -> Response {
    result.unwrap_or_else(|error| {
        say(&format!("ERROR {error}"));
        Response::text(500, "the shop's disk does not answer")
    })
}
