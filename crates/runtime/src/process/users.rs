//! Users and groups of this machine, by name or number.

use std::fs;

use super::record::UserIds;

/// The user that Compose's `user` names: `name`, `name:group`, or numbers in place of either.
/// `None`: there is no such user or group.
pub(crate) fn find(user: &str, groups: &[String]) -> Option<UserIds> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    find_in(&passwd, &group, user, groups)
}

fn find_in(passwd: &str, group_file: &str, user: &str, groups: &[String]) -> Option<UserIds> {
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    let known = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() > 3 && (fields[0] == name || fields[2] == name));
    let (uid, own_gid) = match known {
        Some(fields) => (fields[2].parse().ok()?, fields[3].parse().ok()?),
        None => (name.parse().ok()?, 0),
    };
    let gid = group.map_or(Some(own_gid), |group| find_group(group_file, group))?;
    let groups = groups.iter().map(|group| find_group(group_file, group)).collect::<Option<_>>()?;
    Some(UserIds { uid, gid, groups })
}

fn find_group(group_file: &str, group: &str) -> Option<u32> {
    let named = group_file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut named = named.filter(|fields| fields.len() > 2 && fields[0] == group);
    named.next().map_or_else(|| group.parse().ok(), |fields| fields[2].parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/false\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:\n";

    fn find(user: &str) -> Option<(u32, u32)> {
        find_in(PASSWD, GROUP, user, &[]).map(|ids| (ids.uid, ids.gid))
    }

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(find("web"), Some((33, 34)));
        assert_eq!(find("33"), Some((33, 34)));
        assert_eq!(find("web:adm"), Some((33, 4)));
        assert_eq!(find("1000:1001"), Some((1000, 1001)));
        assert_eq!(find("nobody-here"), None);
        assert_eq!(find("web:nothing-here"), None);
        assert_eq!(find_in(PASSWD, GROUP, "web", &["adm".into()]).unwrap().groups, [4]);
    }
}
