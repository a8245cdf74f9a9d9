//! What the shop sells.

/// A thing that is sold.
pub(crate) struct Product {
    /// Its id in orders.
    pub(crate) id: &'static str,
    /// Its name on the page.
    pub(crate) name: &'static str,
    /// One line about it.
    pub(crate) blurb: &'static str,
    /// Its price in cents.
    pub(crate) cents: u64,
    /// Two colours of its picture.
    pub(crate) colours: (&'static str, &'static str),
    /// The picture's shapes, drawn in a box of 120 by 90.
    pub(crate) picture: &'static str,
}

/// Everything that is sold, in the order of the page.
pub(crate) const PRODUCTS: [Product; 6] = [
    Product {
        id: "daybook",
        name: "The Daybook",
        blurb: "One page a day, numbered, bound so that none can be torn out unseen.",
        cents: 2_400,
        colours: ("#23395b", "#e8b04a"),
        picture: "<rect x='38' y='14' width='46' height='62' rx='4' fill='var(--a)'/><rect x='44' y='14' width='3' height='62' fill='#0003'/><rect x='54' y='26' width='22' height='8' rx='2' fill='var(--b)'/><path d='M76 76v10l-4-4-4 4V76z' fill='var(--b)'/>",
    },
    Product {
        id: "pen",
        name: "Fountain pen",
        blurb: "Steel nib, medium. Writes the first stroke, and every stroke after it.",
        cents: 3_900,
        colours: ("#7a2e3a", "#d9c6a5"),
        picture: "<g transform='rotate(-35 60 45)'><rect x='22' y='39' width='56' height='12' rx='6' fill='var(--a)'/><rect x='60' y='39' width='4' height='12' fill='var(--b)'/><path d='M78 40l22 5-22 5z' fill='var(--b)'/><path d='M84 45h12' stroke='#0006'/></g>",
    },
    Product {
        id: "ink",
        name: "Iron gall ink",
        blurb: "Goes on blue, dries black, and outlives the paper it is on.",
        cents: 1_250,
        colours: ("#1f4e5f", "#9fd3c7"),
        picture: "<rect x='46' y='22' width='28' height='12' rx='3' fill='var(--a)'/><path d='M40 34h40l6 40H34z' fill='var(--b)'/><path d='M37 54h46l3 20H34z' fill='var(--a)'/><rect x='48' y='46' width='24' height='16' rx='2' fill='white'/>",
    },
    Product {
        id: "ruler",
        name: "Brass ruler",
        blurb: "Fifteen centimetres, engraved on both edges. Never starts at about zero.",
        cents: 1_800,
        colours: ("#b08d3c", "#5b4715"),
        picture: "<g transform='rotate(-18 60 45)'><rect x='12' y='36' width='96' height='18' rx='2' fill='var(--a)'/><path d='M20 36v8M28 36v5M36 36v8M44 36v5M52 36v8M60 36v5M68 36v8M76 36v5M84 36v8M92 36v5M100 36v8' stroke='var(--b)' stroke-width='1.6'/></g>",
    },
    Product {
        id: "cards",
        name: "Index cards",
        blurb: "Two hundred, ruled on one side. For plans that may still change their order.",
        cents: 850,
        colours: ("#c8553d", "#f4f1de"),
        picture: "<g stroke='#0002'><rect x='30' y='26' width='52' height='34' rx='2' fill='var(--b)' transform='rotate(-8 56 43)'/><rect x='36' y='30' width='52' height='34' rx='2' fill='var(--b)' transform='rotate(3 62 47)'/><rect x='34' y='32' width='52' height='34' rx='2' fill='white'/></g><path d='M34 40h52' stroke='var(--a)' stroke-width='2'/><path d='M38 48h40M38 54h40M38 60h28' stroke='#9bb'/>",
    },
    Product {
        id: "seal",
        name: "Sealing wax",
        blurb: "With a brass stamp. For whatever must show that it was opened.",
        cents: 1_600,
        colours: ("#9b1d20", "#e0c097"),
        picture: "<circle cx='60' cy='46' r='24' fill='var(--a)'/><circle cx='60' cy='46' r='17' fill='none' stroke='var(--b)' stroke-width='2'/><path d='M53 38h9a8 8 0 0 1 0 16h-9z' fill='none' stroke='var(--b)' stroke-width='3'/>",
    },
];

/// The product of this id.
pub(crate) fn find(id: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.id == id)
}

/// A price as people write it: `24.00`.
pub(crate) fn price(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_found_by_id_and_priced() {
        assert_eq!(find("pen").unwrap().name, "Fountain pen");
        assert!(find("pencil").is_none());
        assert_eq!(price(1_205), "12.05");
    }
}
