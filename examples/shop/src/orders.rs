//! Orders, a file each: `orders/new` until the worker has packed them, then `orders/packed`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::catalogue;

/// The orders of a shop. Several processes may use one directory: every change is one rename.
pub(crate) struct Orders {
    new: PathBuf,
    packed: PathBuf,
    taken: AtomicU64,
}

/// Why an order was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The order makes no sense; the text says why.
    Bad(String),
    /// The disk said no.
    Disk(io::Error),
}

impl Orders {
    /// Opens the orders under `data`.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let (new, packed) = (data.join("orders/new"), data.join("orders/packed"));
        fs::create_dir_all(&new)?;
        fs::create_dir_all(&packed)?;
        Ok(Self { new, packed, taken: AtomicU64::new(0) })
    }

    /// Takes an order, `{"items": [{"product", "quantity"}], "gift"?: bool}`, and returns it with its id
    /// and total once it would survive a crash of the machine.
    pub(crate) fn take(&self, order: &Value, by: &str) -> Result<Value, Refused> {
        let (items, cents) = check(order).map_err(Refused::Bad)?;
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let at = UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis());
        let id = format!("{at}-{}-{number}", std::process::id());
        let gift = order["gift"].as_bool().unwrap_or(false);
        let whole = json!({"id": id, "at": at as u64, "items": items, "cents": cents, "gift": gift, "by": by});
        save(&self.new.join(format!("{id}.json")), &whole.to_string()).map_err(Refused::Disk)?;
        Ok(whole)
    }

    /// Packs every new order: the worker's job. Returns how many there were.
    pub(crate) fn pack(&self) -> io::Result<u64> {
        let mut count = 0;
        for path in finished(&self.new)? {
            let name = path.file_name().expect("an entry of a directory has a name");
            fs::rename(&path, self.packed.join(name))?;
            count += 1;
        }
        Ok(count)
    }

    /// How many orders wait, and how many are packed.
    pub(crate) fn count(&self) -> io::Result<(u64, u64)> {
        Ok((finished(&self.new)?.len() as u64, finished(&self.packed)?.len() as u64))
    }

    /// The sum of all orders, in cents.
    pub(crate) fn cents(&self) -> io::Result<u64> {
        let mut sum = 0;
        for path in finished(&self.new)?.into_iter().chain(finished(&self.packed)?) {
            // An order that is packed while we read has moved: it is counted at the next report.
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let order: Value = serde_json::from_str(&text)?;
            sum += order["cents"].as_u64().unwrap_or(0);
        }
        Ok(sum)
    }
}

fn check(order: &Value) -> Result<(Value, u64), String> {
    let items = order["items"].as_array().filter(|items| !items.is_empty()).ok_or("an order needs `items`")?;
    let mut cents = 0;
    for item in items {
        let id = item["product"].as_str().unwrap_or_default();
        let product = catalogue::find(id).ok_or_else(|| format!("there is no product `{id}`"))?;
        let quantity = item["quantity"].as_u64().filter(|count| (1..=99).contains(count));
        cents += product.cents * quantity.ok_or("a quantity is 1 to 99")?;
    }
    Ok((json!(items), cents))
}

/// Writes a file whole or not at all.
pub(crate) fn save(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("tmp");
    let mut file = File::create(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(path.parent().expect("a saved file has a directory"))?.sync_all()
}

fn finished(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_checked_and_priced() {
        let order = json!({"items": [{"product": "pen", "quantity": 2}, {"product": "ink", "quantity": 1}]});
        assert_eq!(check(&order).unwrap().1, 2 * 3_900 + 1_250);
        for bad in [
            json!({}),
            json!({"items": []}),
            json!({"items": [{"product": "car", "quantity": 1}]}),
            json!({"items": [{"product": "pen", "quantity": 0}]}),
        ] {
            assert!(check(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_is_kept_and_then_packed() {
        let directory = std::env::temp_dir().join(format!("shop-orders-{}", std::process::id()));
        let orders = Orders::open(&directory).unwrap();
        orders.take(&json!({"items": [{"product": "pen", "quantity": 1}]}), "web.1").unwrap();
        assert_eq!(orders.count().unwrap(), (1, 0));
        assert_eq!(orders.pack().unwrap(), 1);
        assert_eq!((orders.count().unwrap(), orders.cents().unwrap()), ((0, 1), 3_900));
        fs::remove_dir_all(directory).unwrap();
    }
}
