//! Methods and their arguments.

use ctwarden::call::{Call, Fault, parse, signature};
use ctwarden::history::Span;
use ctwarden::lease::{Lease, Scope};
use ctwarden::out::Fill;
use ctwarden::protocol::{By, Only, Selection};
use ctwarden::units::Entries;
use ctwarden::wire::blob::Writer;
use ctwarden::wire::ubus::Code;

/// What a call with these arguments is, and the session that it came by.
fn call(method: &str, arguments: Fill<'_>) -> Result<(Call, Option<String>), Fault> {
    let mut room = [0; 1024];
    let mut w = Writer::new(&mut room);
    arguments(&mut w);
    let n = w.written().unwrap();
    parse(method.as_bytes(), &room[..n])
        .map(|(call, session)| (call, session.map(|s| String::from_utf8(s.to_vec()).unwrap())))
}

fn only(method: &str, arguments: Fill<'_>) -> Call {
    call(method, arguments).unwrap().0
}

fn wrong(method: &str, arguments: Fill<'_>) -> String {
    let fault = call(method, arguments).unwrap_err();
    assert_eq!(fault.code(), Code::InvalidArgument);
    fault.to_string()
}

#[test]
fn every_method_without_arguments() {
    let plain = |method| only(method, &|_| {});
    assert_eq!(plain("status"), Call::Status);
    assert_eq!(plain("top"), Call::Top { by: By::Source, rows: 10, exact: false });
    assert_eq!(plain("size"), Call::Size { max: None, ram_percent: None, board: None });
    assert_eq!(plain("check"), Call::Check);
    assert_eq!(plain("history"), Call::History { span: Span::Minutes, since: 0 });
    assert_eq!(plain("incidents"), Call::Incidents);
    assert_eq!(plain("trim"), Call::Trim { selection: Selection::Level, dry_run: false });
    assert_eq!(plain("close"), Call::Close);
    assert_eq!(plain("drill"), Call::Drill);
    assert_eq!(plain("reload"), Call::Reload);
    assert_eq!(plain("metrics"), Call::Metrics);
    assert_eq!(call("missing", &|_| {}), Err(Fault::NoMethod));
    assert_eq!(Fault::NoMethod.code(), Code::MethodNotFound);
}

#[test]
fn arguments_are_taken() {
    let top = only("top", &|o| {
        o.text("by", &"destination");
        o.number("n", 5);
        o.flag("exact", true);
    });
    assert_eq!(top, Call::Top { by: By::Destination, rows: 5, exact: true });
    // As the command line: more rows than there are is all.
    assert_eq!(only("top", &|o| o.number("n", 1000)), Call::Top { by: By::Source, rows: 64, exact: false });
    for since in [0, 7, u32::MAX] {
        let history = only("history", &|o| {
            o.text("span", &"24h");
            o.number("since", since);
        });
        assert_eq!(history, Call::History { span: Span::Day, since });
    }
    assert_eq!(wrong("history", &|o| o.text("span", &"7d")), "span: wants 5m or 24h");
    let trim = only("trim", &|o| {
        o.text("source", &"10.0.0.5");
        o.text("only", &"closing");
        o.flag("dry_run", true);
    });
    let selection = Selection::Source("10.0.0.5".parse().unwrap(), Some(Only::Closing));
    assert_eq!(trim, Call::Trim { selection, dry_run: true });
    assert!(!trim.changes());
    let kind = Selection::Kind(Only::Idle);
    assert_eq!(only("trim", &|o| o.text("only", &"idle")), Call::Trim { selection: kind, dry_run: false });
    let size = only("size", &|o| {
        o.number("max", 65_536);
        o.number("ram_percent", 20);
        o.text("board", &"glinet,gl-ar750");
    });
    let board = Some("glinet,gl-ar750");
    assert_eq!(size, Call::Size { max: Some(Entries(65_536)), ram_percent: Some(20), board });
    let open = only("open", &|o| {
        o.text("scope", &"lan");
        // A number is whole, of whatever size the caller's language gave it.
        o.long("seconds", 60);
        o.flag("confirm", true);
    });
    assert_eq!(open, Call::Open { scope: Some(Scope::Lan), seconds: Some(60), dry_run: false });
    assert!(open.changes());
}

#[test]
fn who_is_to_be_shed() {
    let key = |key: &str| match call("shed", &|o| o.text("key", &key)) {
        Ok((Call::Shed { lease, seconds: None, dry_run: false }, _)) => Some(lease),
        Err(Fault::Argument { name: "key", .. }) => None,
        other => panic!("{other:?}"),
    };
    let source = |a: &str| Some(Lease::Source(a.parse().unwrap()));
    let to = |a: &str, protocol, port| Some(Lease::Destination { address: a.parse().unwrap(), protocol, port });
    assert_eq!(key("10.0.0.5"), source("10.0.0.5"));
    assert_eq!(key("2001:db8:1:2::/64"), source("2001:db8:1:2::"));
    assert_eq!(key("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2::"));
    assert_eq!(key("1.2.3.4:443/tcp"), to("1.2.3.4", 6, 443));
    assert_eq!(key("[2001:db8::1]:53/udp"), to("2001:db8::1", 17, 53));
    for bad in
        ["", "10.0.0.0/24", "10.0.0.5/64", "1.2.3.4:443", "1.2.3.4/tcp", "1.2.3.4:70000/tcp", "::1:5/tcp", "fd00::/48"]
    {
        assert_eq!(key(bad), None, "{bad}");
    }
    // As `top` names them, so they can be given.
    for lease in [key("10.0.0.5"), key("2001:db8::/64"), key("1.2.3.4:443/tcp"), key("[2001:db8::1]:53/udp")] {
        assert_eq!(key(&lease.unwrap().to_string()), lease);
    }
    assert_eq!(wrong("shed", &|o| o.number("seconds", 5)), "key: wants an address, or ADDRESS:PORT/tcp or /udp");
}

#[test]
fn what_destroys_is_confirmed() {
    assert_eq!(wrong("flush", &|_| {}), "confirm: wants true");
    assert_eq!(wrong("open", &|o| o.text("scope", &"all")), "confirm: wants true");
    assert_eq!(wrong("flush", &|o| o.flag("confirm", false)), "confirm: wants true");
    // A real boolean: not a word, not a number.
    assert_eq!(wrong("flush", &|o| o.text("confirm", &"true")), "confirm: wants true");
    assert_eq!(wrong("flush", &|o| o.number("confirm", 1)), "confirm: wants true");
    assert_eq!(only("flush", &|o| o.flag("confirm", true)), Call::Flush { dry_run: false });
    assert_eq!(only("flush", &|o| o.flag("dry_run", true)), Call::Flush { dry_run: true });
}

#[test]
fn what_will_not_do_is_named() {
    assert_eq!(wrong("top", &|o| o.text("by", &"size")), "by: wants source, prefix, destination or state");
    assert_eq!(wrong("top", &|o| o.number("by", 1)), "by: wants source, prefix, destination or state");
    assert_eq!(wrong("top", &|o| o.text("n", &"5")), "n: wants a number of rows");
    assert_eq!(wrong("top", &|o| o.number("n", 0)), "n: wants a number of rows");
    assert_eq!(wrong("top", &|o| o.long("n", u64::MAX)), "n: wants a number of rows");
    assert_eq!(wrong("top", &|o| o.text("exact", &"yes")), "exact: wants true or false");
    assert_eq!(wrong("size", &|o| o.number("ram_percent", 51)), "ram_percent: wants a percentage from 1 to 50");
    assert_eq!(wrong("size", &|o| o.text("board", &"x".repeat(65))), "board: wants a board's name");
    assert_eq!(wrong("trim", &|o| o.text("source", &"10.0.0")), "source: wants an IPv4 or IPv6 address");
    let open = |seconds| {
        wrong("open", &|o| {
            o.flag("confirm", true);
            o.number("seconds", seconds);
        })
    };
    assert_eq!(open(0), "seconds: wants a number of seconds from 1 to 86400");
    assert_eq!(open(86_401), "seconds: wants a number of seconds from 1 to 86400");
    assert_eq!(parse(b"status", &[0x85, 0, 0, 99]), Err(Fault::Damaged));
}

#[test]
fn what_is_not_known_is_passed_over() {
    let (call, session) = call("flush", &|o| {
        o.text("ubus_rpc_session", &"0123456789abcdef0123456789abcdef");
        o.object("something");
        o.flag("confirm", false);
        o.end();
        o.flag("confirm", true);
        o.null("dry_run");
    })
    .unwrap();
    assert_eq!(call, Call::Flush { dry_run: false });
    assert_eq!(session.unwrap(), "0123456789abcdef0123456789abcdef");
}

/// What is published is what is taken: the types are those that the arguments must have.
#[test]
fn the_signature_names_every_argument() {
    let mut room = [0; 2048];
    let mut w = Writer::new(&mut room);
    signature(&mut w);
    let n = w.written().unwrap();
    let table = crate::tree::read(&room[..n], 3).unwrap();
    let mut text = String::new();
    for (method, arguments) in table {
        let crate::tree::Tree::Table(arguments) = arguments else { panic!() };
        let arguments: Vec<_> = arguments
            .iter()
            .map(|(name, kind)| match kind {
                crate::tree::Tree::Long(3) => format!("{name} text"),
                crate::tree::Tree::Long(5) => format!("{name} number"),
                crate::tree::Tree::Long(7) => format!("{name} boolean"),
                other => panic!("{other:?}"),
            })
            .collect();
        text += &format!("{method}({})\n", arguments.join(", "));
    }
    assert_eq!(
        text,
        "status()\n\
         top(by text, n number, exact boolean)\n\
         size(max number, ram_percent number, board text)\n\
         check()\n\
         history(span text, since number)\n\
         incidents()\n\
         trim(source text, only text, dry_run boolean)\n\
         shed(key text, seconds number, dry_run boolean)\n\
         flush(confirm boolean, dry_run boolean)\n\
         open(scope text, seconds number, confirm boolean, dry_run boolean)\n\
         close()\n\
         drill()\n\
         reload()\n\
         metrics()\n"
    );
}
