use std::os::unix::ffi::OsStringExt;

use super::*;

/// Sources with these variables and, if not empty, a file of this text.
struct Case {
    sources: Sources,
    _dir: tempfile::TempDir,
}

fn case(flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("haulage.toml");
    std::fs::write(&path, file).unwrap();
    let sources = Sources {
        flags: flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect(),
        environment: environment.iter().map(|(n, v)| (n.into(), v.into())).collect(),
        file: (!file.is_empty()).then_some(path),
    };
    Case { sources, _dir: dir }
}

fn errors(case: &Case) -> Vec<String> {
    let errors = load(&case.sources).expect_err("this configuration is wrong");
    errors.0.iter().map(ToString::to_string).collect()
}

fn the_error(case: &Case) -> String {
    let mut errors = errors(case);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

#[test]
fn without_any_source_the_documented_defaults_are_in_force() {
    let loaded = load(&Sources::default()).unwrap();
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", Config::default()));
    assert_eq!(loaded.in_force.len(), SETTINGS.len());
    assert!(loaded.in_force.iter().all(|one| one.origin == Origin::Default));
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = "transfers = 2\nattempts = 2\nbackoff = \"2s\"\n";
    let environment = [("HAULAGE_TRANSFERS", "3"), ("HAULAGE_ATTEMPTS", "3")];
    let case = case(&[("transfers", "4")], &environment, file);
    let loaded = load(&case.sources).unwrap();
    assert_eq!(loaded.config.transfers, 4);
    assert_eq!(loaded.config.attempts, 3);
    assert_eq!(loaded.config.backoff, Duration::from_secs(2));
    assert_eq!(loaded.config.rescues, 20);
    let origin = |name: &str| {
        let one = loaded.in_force.iter().find(|one| one.setting.name == name);
        one.unwrap().origin.clone()
    };
    assert_eq!(origin("transfers"), Origin::Flag);
    assert_eq!(origin("attempts"), Origin::Environment);
    let path = case.sources.file.clone().unwrap();
    assert_eq!(origin("backoff"), Origin::File { path, line: 3 });
    assert_eq!(origin("rescues"), Origin::Default);
}

/// A text for each setting that differs from its default.
fn another_value(setting: &Setting) -> &'static str {
    match setting.name {
        "listen" => "[::1]:9000",
        "public_url" => "https://pull.example",
        "log" => "haulage=debug",
        "log_format" => "json",
        "md5" => "always",
        "http2" => "on",
        "data_dir" => "/srv/haulage",
        "database_url" => "sqlite:///srv/other.db",
        "storage_url" => "file:///srv/objects",
        "storage_locations" => "archive=file:///srv/archive",
        "storage_keys" => "archive=AKID:hunter2",
        "storage_part_bytes" => "7MiB",
        "access_key_id" => "LTAI-mine",
        "access_key_secret" => "hunter2-hunter2",
        "qps" => "GetPlayInfo=7",
        "egress_allow" => "127.0.0.1:9000",
        "resolvers" => "9.9.9.9:53",
        "extra_ca" | "ffprobe" => "/srv/some/file",
        "max_bytes" | "min_free" | "min_speed" => "3KiB",
        name if find(name).unwrap().accepts.contains("duration") => "77s",
        _ => "77",
    }
}

#[test]
fn every_setting_has_all_three_spellings() {
    for setting in SETTINGS {
        let text = another_value(setting);
        let variable = setting.variable();
        let line = format!("{} = \"{text}\"\n", setting.name);
        let cases = [
            case(&[(setting.name, text)], &[], ""),
            case(&[], &[(&variable, text)], ""),
            case(&[], &[], &line),
        ];
        let mut seen = Vec::new();
        for case in &cases {
            let loaded = load(&case.sources).unwrap_or_else(|e| panic!("{}: {e}", setting.name));
            seen.push(format!("{:?}", loaded.config));
        }
        assert_ne!(seen[0], format!("{:?}", Config::default()), "{} is set", setting.name);
        assert_eq!(seen[0], seen[1], "{}", setting.name);
        assert_eq!(seen[0], seen[2], "{}", setting.name);
    }
}

#[test]
fn the_file_has_numbers_lists_and_a_table_of_rates() {
    let file = "max_bytes = 4096\nresolvers = [\"1.1.1.1:53\", \"[::1]:53\"]\n[qps]\nGetPlayInfo = 9\nGetURLUploadInfos = 0\n";
    let config = load(&case(&[], &[], file).sources).unwrap().config;
    assert_eq!(config.max_bytes, 4_096);
    assert_eq!(config.resolvers.len(), 2);
    assert_eq!((config.qps["GetPlayInfo"], config.qps["GetURLUploadInfos"]), (9, 0));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
    let error = the_error(&case(&[], &[], "\n# ours\ntransfer = 3\n"));
    assert!(error.starts_with("unknown key transfer in "), "{error}");
    assert!(error.ends_with("line 3; did you mean transfers?"), "{error}");
    let error = the_error(&case(&[], &[], "[storage]\nurl = \"x\"\n"));
    assert!(error.starts_with("unknown key storage"), "{error}");
    let error = the_error(&case(&[], &[], "zzzzzzzzzz = 1\n"));
    assert!(!error.contains("did you mean"), "{error}");
}

#[test]
fn an_unusable_value_names_its_source_and_what_is_accepted() {
    let flag = the_error(&case(&[("max_bytes", "20GB")], &[], ""));
    assert_eq!(
        flag,
        "--max-bytes: `20GB` is not usable; accepted: bytes, or a size such as `64KiB`, `20MiB`, `1GiB`, `2TiB`"
    );
    let variable = the_error(&case(&[], &[("HAULAGE_PER_HOST", "0")], ""));
    assert!(variable.starts_with("HAULAGE_PER_HOST: `0` is not usable (it is 0);"), "{variable}");
    let file = the_error(&case(&[], &[], "attempts = 3\nlease = 30\n"));
    assert!(file.starts_with("lease in "), "{file}");
    assert!(file.contains("line 2: `30` is not usable; accepted: a duration"), "{file}");
}

#[test]
fn a_value_of_a_wrong_type_is_refused() {
    for (line, kind) in [
        ("transfers = true", "boolean"),
        ("transfers = 1.5", "fraction"),
        ("transfers = 0x10", "not decimal"),
        ("lease = 2026-01-01", "date"),
        ("lease = {a = 1}", "table"),
        ("resolvers = [[\"1.1.1.1:53\"]]", "list within a list"),
    ] {
        let error = the_error(&case(&[], &[], line));
        assert!(error.contains(kind) && error.contains("line 1"), "{error}");
    }
}

#[test]
fn a_secret_is_never_repeated() {
    let secret = "zq7\u{7f}";
    let error = the_error(&case(&[], &[("HAULAGE_ACCESS_KEY_SECRET", secret)], ""));
    assert!(error.contains("HAULAGE_ACCESS_KEY_SECRET") && !error.contains("zq7"), "{error}");
    let error = the_error(&case(&[("database_url", "admin:hunter2@db")], &[], ""));
    assert!(!error.contains("hunter2"), "{error}");
    // Not even by a parser that quotes what it cannot read.
    let error = the_error(&case(&[], &[], "access_key_secret = hunter2-hunter2\n"));
    assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
    let given = [("access_key_secret", "hunter2-hunter2"), ("access_key_id", "mine")];
    let loaded = load(&case(&given, &[], "").sources).unwrap();
    assert!(loaded.in_force.iter().all(|one| !one.shown.contains("hunter2")));
    assert!(loaded.warnings[0].contains("--access-key-secret"), "{:?}", loaded.warnings);
    assert!(!loaded.warnings[0].contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_read_or_is_no_toml_is_refused() {
    let mut missing = case(&[], &[], "x");
    missing.sources.file = Some("/nonexistent/haulage.toml".into());
    assert!(the_error(&missing).starts_with("the configuration file /nonexistent/haulage.toml"));
    let mut directory = case(&[], &[], "x");
    directory.sources.file = directory.sources.file.map(|f| f.parent().unwrap().to_owned());
    assert!(the_error(&directory).ends_with("it is a directory"));
    let error = the_error(&case(&[], &[], "listen = \"[::]:1\"\nlisten = \"[::]:2\"\n"));
    assert!(error.contains("is not TOML: line 2"), "{error}");
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let mut case = case(&[], &[], "transfers = 5\n");
    let path = case.sources.file.take().unwrap();
    case.sources.environment.push(("HAULAGE_CONFIG".into(), path.into()));
    let loaded = load(&case.sources).unwrap();
    assert_eq!((loaded.config.transfers, loaded.warnings.len()), (5, 0));
}

#[test]
fn an_unknown_variable_is_a_warning_unless_it_is_for_tests() {
    let environment = [
        ("HAULAGE_TRANSFER", "3"),
        ("HAULAGE_TEST_ANYTHING", "1"),
        ("HAULAGE_SERVER", "http://h"),
        ("PATH", "/bin"),
    ];
    let loaded = load(&case(&[], &environment, "").sources).unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "the environment variable HAULAGE_TRANSFER is no setting of this program; did you mean HAULAGE_TRANSFERS?"
        ]
    );
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let loaded = load(&case(&[], &[("HAULAGE_TRANSFERS", "")], "transfers = 7\n").sources);
    assert_eq!(loaded.unwrap().config.transfers, 7);
}

#[test]
fn a_variable_that_is_no_text_is_refused() {
    let mut case = case(&[], &[], "");
    let bytes = OsString::from_vec(vec![0xff]);
    case.sources.environment.push(("HAULAGE_DATA_DIR".into(), bytes));
    assert_eq!(the_error(&case), "HAULAGE_DATA_DIR is not text in UTF-8");
}

#[test]
fn all_complaints_come_at_once() {
    let flags = [("per_host", "0"), ("lease", "100ms")];
    let wrong = case(&flags, &[("HAULAGE_BACKOFF", "10m")], "colour = 1\n");
    let errors = errors(&wrong);
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors.iter().any(|e| e.starts_with("backoff (10m) is longer than backoff_max (5m)")));
    assert!(errors.iter().any(|e| e.starts_with("lease is shorter than 1s")));
}

#[test]
fn half_a_key_is_no_key() {
    let whole = [("HAULAGE_ACCESS_KEY_ID", "mine"), ("HAULAGE_ACCESS_KEY_SECRET", "12345678")];
    let key = |environment: &[(&str, &str)]| {
        let config = load(&case(&[], environment, "").sources).unwrap().config;
        config.chosen_key().map(|key| key.map(|(id, secret)| (id.to_owned(), secret.to_owned())))
    };
    assert_eq!(key(&whole), Ok(Some(("mine".to_owned(), "12345678".to_owned()))));
    assert_eq!(key(&[]), Ok(None));
    let half = key(&whole[..1]).unwrap_err().to_string();
    assert!(half.contains("HAULAGE_ACCESS_KEY_SECRET is not"), "{half}");
    let half = key(&whole[1..]).unwrap_err().to_string();
    assert!(!half.contains("12345678") && half.contains("HAULAGE_ACCESS_KEY_ID is not"), "{half}");
}

#[test]
fn storage_locations_are_a_table_in_the_file_and_a_bucket_needs_its_key() {
    let file = "storage_url = \"s3://media\"\n[storage_locations]\narchive = \"oss://media?region=r\"\n\
                [storage_keys]\ndefault = \"AKID:hunter2\"\n";
    let refused = load(&case(&[], &[], file).sources).unwrap_err();
    assert_eq!(refused.0, [ConfigError::NoBucketKey("archive".to_owned())]);
    let shown = refused.to_string();
    assert!(shown.contains("archive=id:secret") && !shown.contains("hunter2"), "{shown}");
    let whole = format!("{file}archive = \"AKID2:x\"\n");
    let loaded = load(&case(&[], &[], &whole).sources).unwrap();
    let names: Vec<_> = loaded.config.places().map(|(name, _)| name).collect();
    assert_eq!(names, ["default", "archive"]);
    let keys = loaded.in_force.iter().find(|one| one.setting.name == "storage_keys").unwrap();
    assert_eq!(keys.shown, "(hidden)");
}

#[test]
fn what_is_wrong_with_a_storage_url_is_said_without_repeating_it() {
    let sources = case(&[], &[("HAULAGE_STORAGE_URL", "s3://AKID:hunter2@media")], "").sources;
    let shown = load(&sources).unwrap_err().to_string();
    assert!(shown.contains("storage_keys") && !shown.contains("hunter2"), "{shown}");
}
