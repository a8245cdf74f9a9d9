//! Secrets: rotated, kept by a real OpenBao, in files that real SOPS and age have encrypted.

#[path = "../../crates/connect/tests/support/openbao.rs"]
mod openbao;

use std::path::Path;
use std::process::Command;

use daybook_bench::load::Load;
use daybook_e2e::{Ended, World};
use openbao::OpenBao;

/// Values that must be seen nowhere.
const OLD: &str = "canary-old-51e27f3a9c";
const NEW: &str = "canary-new-9c51e27f3a";

/// The shop with a secret `session` in a variable of all its services.
fn with_session(more: &str) -> String {
    let text =
        daybook_e2e::manifest().replace("SHOP_DATA: data", "SESSION_KEY: {secret: session}\n    SHOP_DATA: data");
    format!("{text}\n{more}\n")
}

/// How many replicas of the shop have this value in a variable.
fn have(world: &World, value: &str) -> usize {
    let pids = daybook_bench::process::working_beneath(&world.state());
    let has = |pid: &&u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environ).contains(&format!("SESSION_KEY={value}"))
    };
    pids.iter().filter(has).count()
}

#[track_caller]
fn expect_untold(said: &[Ended], values: &[&str]) {
    for value in values {
        if let Some(shows) = said.iter().find(|ended| ended.all().contains(value)) {
            panic!("a command shows a secret: {shows}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r01_a_secret_of_a_vault_is_rotated_and_no_request_fails() {
    let bao = OpenBao::start();
    bao.run(&["kv", "put", "secret/shop/production", &format!("session={OLD}")]);
    bao.may_read("shop", "shop/production");
    let (role, secret_id) = bao.app_role("shop");
    let world = World::new().await;
    let more = format!(
        "secrets:\n  session: {{vault: secret/shop/production}}\n\
         vault: {{address: \"{}\", auth: {{approle: {{role: {role}, secret: vault-secret-id}}}}}}",
        bao.address()
    );
    world.write("daybook.yaml", &with_session(&more));

    let refused = world.up(1, &[]).await.expect(1);
    assert!(refused.err.contains("the secret `vault-secret-id` is not set"), "{refused}");
    assert!(!refused.err.contains("`session` is not set"), "one cause, told once: {refused}");
    let mut said = vec![refused, world.run_reading(&["secret", "set", "vault-secret-id"], &secret_id).await.expect(0)];
    said.push(world.up(1, &[]).await.expect(0));
    assert!(have(&world, OLD) >= 2, "web and worker have what the Vault keeps");
    said.push(world.run_with(&["plan"], &[("SHOP_BUILD", "1")]).await.expect(0));

    bao.run(&["kv", "put", "secret/shop/production", &format!("session={NEW}")]);
    let plan = world.run_with(&["plan"], &[("SHOP_BUILD", "1")]).await.expect(2);
    assert!(plan.out.contains("session") && plan.out.contains("version"), "the plan says why: {plan}");
    said.push(plan);
    let load = Load::start(world.load());
    said.push(world.run(&["secret", "rotate", "session", "--yes"]).await.expect(0));
    let report = load.stop().await;
    world.expect_no_failure(&report);
    assert!(report.sent() > 50, "{report}");
    assert_eq!((have(&world, OLD), have(&world, NEW) >= 2), (0, true), "every replica has the new value");
    let listed = world.run(&["secret", "ls"]).await.expect(0);
    assert!(listed.out.contains("vault secret/shop/production#session"), "{listed}");
    said.push(listed);
    let again = world.run(&["secret", "rotate", "session"]).await.expect(0);
    assert!(again.out.contains("nothing to change"), "the Vault has nothing newer: {again}");
    let elsewhere = world.run(&["secret", "rotate", "session", "--generate"]).await.expect(64);
    assert!(elsewhere.err.contains("is kept by a Vault, at secret/shop/production#session"), "{elsewhere}");

    // Sealed: what runs goes on, and what ran before can come back.
    bao.run(&["operator", "seal"]);
    let sealed = world.up(2, &[]).await.expect(1);
    assert!(sealed.err.contains("is sealed") && sealed.err.contains("bao operator unseal"), "{sealed}");
    let plan = world.run_with(&["plan"], &[("SHOP_BUILD", "2")]).await.expect(2);
    assert!(plan.err.contains("is sealed"), "a plan goes on without it: {plan}");
    said.extend([sealed, plan, world.run(&["rollback", "--yes"]).await.expect(0)]);
    assert_eq!((have(&world, OLD) >= 2, have(&world, NEW)), (true, 0), "the value of that release");
    expect_untold(&said, &[OLD, NEW, &secret_id]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_our_own_are_rotated() {
    let world = World::new().await;
    world.write("daybook.yaml", &with_session("").replace("{secret: session}", "{secret: session, generate: true}"));
    world.up(1, &[]).await.expect(0);
    let version = async || world.run(&["secret", "ls", "-o", "json"]).await.expect(0).json()[0]["version"].as_u64();
    assert_eq!(version().await, Some(1));
    let rotated = world.run(&["secret", "rotate", "session"]).await.expect(0);
    assert!(rotated.all().contains("release 2"), "{rotated}");
    assert_eq!(version().await, Some(2), "a generated secret is generated again");

    let rotated = world.run_reading(&["secret", "rotate", "session", "--value"], NEW).await.expect(0);
    assert!(have(&world, NEW) >= 2, "{rotated}");
    let unused = world.run_reading(&["secret", "set", "unused"], OLD).await.expect(0);
    let nobody = world.run(&["secret", "rotate", "unused", "--generate"]).await.expect(1);
    assert!(nobody.err.contains("no service of shop/production needs the secret `unused`"), "{nobody}");
    let two = world.run_reading(&["secret", "rotate", "session", "unused", "--value"], OLD).await.expect(64);
    expect_untold(&[rotated, unused, nobody, two], &[OLD, NEW]);

    world.write("daybook.yaml", &with_session(""));
    world.up(1, &[]).await.expect(0);
    let unsaid = world.run(&["secret", "rotate", "session"]).await.expect(64);
    assert!(unsaid.err.contains("--value") && unsaid.err.contains("--generate"), "{unsaid}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_file_become_secrets() {
    let world = World::new().await;
    world.write(".secrets", &format!("# ours\nexport session='{OLD}'\nPIN=\"12 34\"\nnothing=\n"));
    let first = world.run(&["secret", "import", ".secrets"]).await.expect(0);
    assert!(first.err.contains("session of shop/production is at version 1"), "{first}");
    assert!(first.err.contains("nothing is empty"), "{first}");
    world.write(".secrets", &format!("session={NEW}\nPIN=12 34\n"));
    let second = world.run(&["secret", "import", ".secrets"]).await.expect(0);
    assert!(second.err.contains("session of shop/production is at version 2\n"), "{second}");
    assert!(second.err.contains("PIN of shop/production is at version 1 as it was"), "{second}");
    world.write(".secrets", &format!("PIN=5\nsession=${{HOME}}-{OLD}\n"));
    let refused = world.run(&["secret", "import", ".secrets"]).await.expect(1);
    assert!(refused.err.contains(".secrets: line 2: it refers to another variable"), "{refused}");
    let missing = world.run(&["secret", "import", ".secrets", "--only", "other"]).await.expect(1);
    world.write("daybook.yaml", &with_session(""));
    world.up(1, &[]).await.expect(0);
    assert!(have(&world, NEW) >= 2, "nothing was set by what was refused");
    expect_untold(&[first, second, refused, missing], &[OLD, NEW]);
    world.end().await;
}

/// Runs a tool in a directory. What it wrote.
fn tool(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (scripts/setup installs it): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A new key in this file; who may read what is encrypted for it.
fn age_key(directory: &Path, file: &str) -> String {
    tool(directory, "age-keygen", &["-o", file]);
    tool(directory, "age-keygen", &["-y", file]).trim().to_owned()
}

fn sops(directory: &Path, recipient: &str, value: &str) {
    let plain = format!("session:\n  keys: [other, {value}]\nport: 5432\n");
    std::fs::write(directory.join("plain.yaml"), plain).expect("a file can be written");
    let encrypted = tool(directory, "sops", &["--encrypt", "--age", recipient, "plain.yaml"]);
    std::fs::write(directory.join("secrets.enc.yaml"), encrypted).expect("a file can be written");
    std::fs::remove_file(directory.join("plain.yaml")).expect("a file can be removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_sops_and_age_encrypted_are_secrets() {
    let world = World::new().await;
    let directory = world.path().to_owned();
    let (recipient, _) = (age_key(&directory, "key.txt"), age_key(&directory, "wrong.txt"));
    sops(&directory, &recipient, OLD);
    world.write("plain.txt", "one line\nanother\n");
    tool(&directory, "age", &["-r", &recipient, "-o", "note.age", "plain.txt"]);
    let more = "secrets:\n  session: {sops: secrets.enc.yaml, key: session.keys.1}\n  note: {age: note.age}\n";
    let text = with_session(more).replace("    port: 8080\n", "    port: 8080\n    secrets: [note]\n");
    world.write("daybook.yaml", &text);
    let key = |name: &str| directory.join(name).display().to_string();
    let (good, wrong, none) = (key("key.txt"), key("wrong.txt"), key("none.txt"));

    let refused = world.up(1, &[("SOPS_AGE_KEY_FILE", &none)]).await.expect(1);
    assert!(refused.err.contains("M0409") && refused.err.contains("note.age"), "{refused}");
    let plan = world.run_with(&["plan"], &[("SOPS_AGE_KEY_FILE", &wrong)]).await.expect(2);
    assert!(plan.err.contains("warning[M0409]") && plan.err.contains("secrets.enc.yaml"), "{plan}");
    world.run_with(&["validate"], &[("SOPS_AGE_KEY_FILE", &none)]).await.expect(0);
    let mut said = vec![refused, plan];

    said.push(world.up(1, &[("SOPS_AGE_KEY_FILE", &good)]).await.expect(0));
    assert!(have(&world, OLD) >= 2);
    let read = world.run(&["exec", "web", "--", "cat", "run/secrets/note"]).await;
    assert!(read.out.contains("one line\nanother\n"), "{read}");
    sops(&directory, &recipient, NEW);
    said.push(world.run_with(&["plan"], &[("SHOP_BUILD", "1"), ("SOPS_AGE_KEY_FILE", &good)]).await.expect(2));
    // A saved plan holds nothing that was encrypted: whoever carries it out needs the key as well.
    let variables = [("SHOP_BUILD", "1"), ("SOPS_AGE_KEY_FILE", good.as_str())];
    said.push(world.run_with(&["plan", "--out", "saved"], &variables).await.expect(2));
    let saved = std::fs::read_to_string(directory.join("saved")).expect("a saved plan is text");
    assert!(saved.contains("secrets.enc.yaml") && ![OLD, NEW, "one line"].iter().any(|value| saved.contains(value)));
    said.push(world.run_with(&["apply", "saved"], &[("SOPS_AGE_KEY_FILE", &wrong)]).await.expect(1));
    said.push(world.run_with(&["apply", "saved"], &[("SOPS_AGE_KEY_FILE", &good)]).await.expect(0));
    assert_eq!((have(&world, OLD), have(&world, NEW) >= 2), (0, true));

    world.write("daybook.yaml", &text.replace("session.keys.1", "sesion"));
    let missing = world.up(1, &[("SOPS_AGE_KEY_FILE", &good)]).await.expect(1);
    assert!(missing.err.contains("M0410") && missing.err.contains("did you mean `session`?"), "{missing}");
    said.push(missing);
    expect_untold(&said, &[OLD, NEW]);
    world.end().await;
}

/// What a server says that does not start.
async fn refused_start(world: &World, variables: &[(&str, &str)]) -> String {
    world.run_with(&["serve", "--runtime", "process"], variables).await.expect(1).err
}

/// Replicas that are started anew have the secret: it can be unsealed.
async fn expect_unsealed(world: &World) {
    world.run(&["restart", "--yes"]).await.expect(0);
    assert!(have(world, OLD) >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_is_sealed_or_printed_and_no_other_is_taken() {
    const PASSPHRASE: &str = "correct horse battery";
    let mut world = World::new().await;
    let directory = world.path().to_owned();
    let at = |name: &str| directory.join(name).display().to_string();
    world.write("daybook.yaml", &with_session(""));
    world.run_reading(&["secret", "set", "session"], OLD).await.expect(0);
    world.up(1, &[]).await.expect(0);
    let key = world.state().join("master.key");
    let plain = std::fs::read(&key).unwrap();

    world.run_reading(&["secret", "key", "--seal"], "too short").await.expect(64);
    let sealed = world.run_reading(&["secret", "key", "--seal"], PASSPHRASE).await.expect(0);
    assert!(sealed.err.contains("--passphrase-file") && !sealed.all().contains(PASSPHRASE), "{sealed}");
    assert!(world.run(&["secret", "key"]).await.out.contains("sealed under a passphrase"));
    let now = std::fs::read(&key).unwrap();
    assert!(!now.windows(plain.len()).any(|window| window == plain), "the key is in the file no more");
    world.daybook.kill_server().await.unwrap();
    world.write("passphrase", &format!("{PASSPHRASE}\n"));
    world.write("wrong", "another passphrase\n");
    let (good, wrong) = (at("passphrase"), at("wrong"));
    let said = refused_start(&world, &[]).await;
    assert!(said.contains("is sealed under a passphrase: give it in a file"), "{said}");
    let said = refused_start(&world, &[("DAYBOOK_PASSPHRASE_FILE", &wrong)]).await;
    assert!(said.contains("the passphrase is not that of"), "{said}");
    world.daybook.variables = vec![("DAYBOOK_PASSPHRASE_FILE", good.clone())];
    world.daybook.serve().await.unwrap();
    expect_unsealed(&world).await;

    world.run(&["secret", "key", "--unseal"]).await.expect(64);
    world.run(&["secret", "key", "--unseal", "--passphrase-file", &good]).await.expect(0);
    assert_eq!(std::fs::read(&key).unwrap(), plain, "the same key");
    world.daybook.kill_server().await.unwrap();
    std::fs::remove_file(&key).unwrap();
    let said = refused_start(&world, &[]).await;
    assert!(said.contains("`master.key` is missing, and secrets are sealed under it"), "{said}");
    assert!(!key.exists(), "no other key was made");
    world.write("other.key", &"x".repeat(32));
    let other = at("other.key");
    std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let said = refused_start(&world, &[("DAYBOOK_KEY_FILE", &other)]).await;
    assert!(said.contains("put back the key that sealed it"), "{said}");

    // Whoever keeps keys has a program that prints them.
    std::fs::write(directory.join("plain.key"), &plain).unwrap();
    let recipient = age_key(&directory, "key.txt");
    tool(&directory, "age", &["-r", &recipient, "-o", "master.age", "plain.key"]);
    std::fs::remove_file(directory.join("plain.key")).unwrap();
    let printed = format!("age --decrypt --identity {} {}", at("key.txt"), at("master.age"));
    world.daybook.variables = vec![("DAYBOOK_KEY_FROM", printed)];
    world.daybook.serve().await.unwrap();
    expect_unsealed(&world).await;
    world.daybook.kill_server().await.unwrap();
    let said = refused_start(&world, &[("DAYBOOK_KEY_FROM", "age --decrypt --identity /no/such/key /none")]).await;
    assert!(said.contains("`age` ended with"), "{said}");
    world.daybook.serve().await.unwrap();
    world.end().await;
}
