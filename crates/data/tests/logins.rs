//! Logins on real servers.
#![cfg(feature = "database-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use common::mariadb::MariaDb;
use common::postgres::Postgres;
use daybook_data::logins::{Kept, Login, Rights};
use daybook_data::migrations::history::TABLE;
use daybook_data::migrations::server::{Place, Refusal, Server, connect};
use daybook_data::{Dialect, Way, url};

const WEB: Login<'_> = Login { name: "web-api_1", password: "a'b\\c@d/e" };
const NEXT: Login<'_> = Login { name: "web-api_2", password: "next" };
const WORKER: Login<'_> = Login { name: "worker_1", password: "other" };

/// A database in a server, and what is needed to get in.
struct Shop {
    dialect: Dialect,
    address: SocketAddr,
    admin: &'static str,
    passwords: Vec<String>,
}

impl Shop {
    fn postgres(server: &Postgres) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], server.port().unwrap()));
        let passwords = vec!["fresh".to_owned(), "secret".to_owned()];
        Self { dialect: Dialect::PostgreSql, address, admin: "postgres", passwords }
    }

    fn mariadb(server: &MariaDb) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
        Self { dialect: Dialect::MySql, address, admin: "root", passwords: vec!["fresh".to_owned(), String::new()] }
    }

    fn kept(&self) -> Kept<'_> {
        let Self { dialect, address, admin, passwords } = self;
        let (dialect, address) = (*dialect, *address);
        Kept { dialect, address, admin, passwords, authorities: &[], database: "my_shop", history: TABLE }
    }

    async fn server(&self, login: Login<'_>) -> Result<Box<dyn Server>, Refusal> {
        let way = Way { dialect: self.dialect, address: self.address, authority: None };
        let url = url(way, login.name, login.password, "my_shop");
        connect(&Place { url, schema: None, table: TABLE.to_owned() }).await
    }

    async fn may(&self, login: Login<'_>, sql: &str) -> bool {
        self.server(login).await.unwrap().execute(sql).await.is_ok()
    }
}

async fn rights_are_those_that_are_given(shop: &Shop) {
    let (kept, none) = (shop.kept(), BTreeSet::new());
    assert!(!kept.is_there().await.unwrap());
    assert!(!kept.lets_in(WEB).await.unwrap());
    kept.grant(&[WEB, WORKER], &none, Rights::Rows).await.unwrap();
    assert_eq!(kept.password().await.unwrap(), "fresh", "the password is the one that it is to have");
    assert!(kept.is_there().await.unwrap());
    assert!(kept.lets_in(WEB).await.unwrap() && kept.lets_in(WORKER).await.unwrap());
    assert!(!kept.lets_in(Login { password: "wrong", ..WEB }).await.unwrap());

    let place = Place { url: kept.url().await.unwrap(), schema: None, table: TABLE.to_owned() };
    let mut admin = connect(&place).await.unwrap();
    admin.create_history().await.unwrap();
    admin.execute("create table orders (id int primary key, item varchar(9))").await.unwrap();
    kept.open_objects(Rights::Rows).await.unwrap();
    assert!(shop.may(WEB, "insert into orders values (1, 'a')").await);
    assert!(shop.may(WORKER, "update orders set item = 'b'").await);
    for sql in ["drop table orders", "alter table orders add column x int", "create table mine (id int)"] {
        assert!(!shop.may(WEB, sql).await, "who reads and writes rows may {sql}");
    }

    // The next password beside the old one, as long as somebody has that.
    let keep: BTreeSet<_> = [WEB.name.to_owned()].into();
    kept.grant(&[NEXT], &keep, Rights::Rows).await.unwrap();
    assert!(kept.lets_in(WEB).await.unwrap() && kept.lets_in(NEXT).await.unwrap());
    assert!(!kept.lets_in(WORKER).await.unwrap(), "a service that is gone gets in");
    kept.grant(&[NEXT], &none, Rights::Rows).await.unwrap();
    assert!(!kept.lets_in(WEB).await.unwrap());
    assert!(shop.may(NEXT, "delete from orders").await);

    // Whoever migrates by itself changes tables, those of others too.
    kept.grant(&[NEXT, WORKER], &none, Rights::Tables).await.unwrap();
    assert!(shop.may(NEXT, "create table mine (id int)").await);
    assert!(shop.may(WORKER, "alter table mine add column note varchar(9)").await, "what one makes belongs to all");
    kept.grant(&[NEXT], &none, Rights::Rows).await.unwrap();
    assert!(!shop.may(NEXT, "drop table mine").await, "rights are taken back");
    assert!(shop.may(NEXT, "insert into mine (id) values (1)").await);
}

#[tokio::test]
async fn a_service_may_do_no_more_than_it_has_to_in_postgresql() {
    let server = Postgres::guarded();
    let shop = Shop::postgres(&server);
    rights_are_those_that_are_given(&shop).await;
    assert!(!shop.may(NEXT, "delete from flyway_schema_history").await, "the history is nobody's to change");
    assert!(!shop.may(NEXT, "create schema mine").await);
}

#[tokio::test]
async fn a_service_may_do_no_more_than_it_has_to_in_mariadb() {
    let server = MariaDb::start();
    rights_are_those_that_are_given(&Shop::mariadb(&server)).await;
}
