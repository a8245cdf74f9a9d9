//! The page that people look at. Version 1 is a paper catalogue; version 2 is a shop window at night,
//! with a search and gift wrapping.

use crate::catalogue::{PRODUCTS, Product, price};
use crate::settings::Settings;

const STYLE_1: &str = include_str!("one.css");
const STYLE_2: &str = include_str!("two.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page. `query` is the search, as it stands in the address.
pub(crate) fn render(settings: &Settings, orders: u64, query: &str) -> String {
    let second = settings.version != "1";
    let style = if second { STYLE_2 } else { STYLE_1 };
    let wanted = if second { decode(query) } else { String::new() };
    let tiles: String = PRODUCTS.iter().filter(|product| matches(product, &wanted)).map(tile).collect();
    let tiles = if tiles.is_empty() { "<p class=none>Nothing by that name. Yet.</p>".to_owned() } else { tiles };
    let search = if second { search(&wanted) } else { String::new() };
    let gift =
        if second { "<label class=gift><input type=checkbox id=gift> wrap it as a gift, free</label>" } else { "" };
    let (version, build) = (escape(&settings.version), escape(&settings.build));
    let (replica, release) = (escape(&settings.replica), escape(&settings.release));
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content='width=device-width,initial-scale=1'>\
<title>The Shop, version {version}</title><link rel=icon href='data:,'><style>{style}</style>\
<header><div><p class=sign>The Shop</p><p>Things to write with, and on.</p></div>\
<p class=count><b id=orders>{orders}</b> <span>orders so far</span></p></header>{search}\
<main><section class=tiles aria-label=Products>{tiles}</section>\
<aside aria-label=Cart><h2>Your cart</h2><ul id=cart></ul><p id=empty>Nothing in it yet.</p>\
<p class=total>Total <b id=total>0.00</b> EUR</p>{gift}<button id=order disabled>Place the order</button>\
<p id=said role=status></p></aside></main>\
<footer>version <b id=version>{version}</b> · build {build} · answered by <b id=replica>{replica}</b> · \
release <b id=release>{release}</b> · <span id=live>not live</span></footer><script>{SCRIPT}</script></html>\n"
    )
}

fn tile(product: &Product) -> String {
    let Product { id, name, blurb, cents, colours: (a, b), picture } = product;
    let price = price(*cents);
    format!(
        "<article style='--a:{a};--b:{b}'><svg viewBox='0 0 120 90' role=img aria-label='{name}'>{picture}</svg>\
<h2>{name}</h2><p>{blurb}</p><p class=buy><b>{price} EUR</b>\
<button data-id={id} data-cents={cents} data-name='{name}'>Add</button></p></article>"
    )
}

fn search(wanted: &str) -> String {
    let wanted = escape(wanted);
    format!(
        "<form class=search role=search><input name=q value='{wanted}' placeholder='What are you looking for?' \
aria-label=Search><button>Search</button></form>"
    )
}

fn matches(product: &Product, wanted: &str) -> bool {
    let wanted = wanted.to_lowercase();
    product.name.to_lowercase().contains(&wanted) || product.blurb.to_lowercase().contains(&wanted)
}

/// Undoes the encoding of a form field in an address.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (*first, tail) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: u8| char::from(byte).to_digit(16).map_or(0, |digit| digit as u8);
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_and_cannot_inject() {
        assert_eq!(decode("iron+gall%20ink%2"), "iron gall ink%2");
        assert!(matches(&PRODUCTS[2], "GALL") && !matches(&PRODUCTS[0], "gall"));
        assert!(!search(&decode("%27%3E%3Cscript%3E")).contains("<script"));
    }
}
