//! The rules that the crate states for what the service leaves open, one test each.

use cas_sign::{
    Credentials, Dialect, EmptyValues, Field, FormatString, HeaderPolicy, KeyTime, ParameterPolicy, ParameterReading,
    SignError, SignableRequest, SigningOptions, TimeRange, sign,
};

use crate::support::{HOST, KEY, credentials, signed, times};

fn get(path: &str) -> SignableRequest<'_> {
    SignableRequest::new("GET", path).with_header("Host", HOST)
}

fn cas_text(request: &SignableRequest<'_>) -> String {
    FormatString::new(request, &SigningOptions::cas()).unwrap().to_string()
}

fn cos_text(request: &SignableRequest<'_>) -> String {
    FormatString::new(request, &SigningOptions::cos()).unwrap().to_string()
}

fn refusal(request: &SignableRequest<'_>) -> SignError {
    sign(request, &credentials(), times(), &SigningOptions::cas()).unwrap_err()
}

#[test]
fn repeated_headers_are_signed_in_order_and_listed_once() {
    let request = get("/-/vaults").with_header("X-Cas-B", "2").with_header("x-cas-a", "z").with_header("x-cas-b", "1");
    let text = FormatString::new(&request, &SigningOptions::cas()).unwrap();
    assert_eq!(text.to_string(), format!("get\n/-/vaults\n\nhost={HOST}&x-cas-a=z&x-cas-b=2&x-cas-b=1\n"));
    assert_eq!(text.header_list(), "host;x-cas-a;x-cas-b");
}

#[test]
fn repeated_parameters_are_signed_in_order_and_listed_once() {
    let request = get("/-/vaults").with_query("marker=b&limit=1&MARKER=a");
    let text = FormatString::new(&request, &SigningOptions::cas()).unwrap();
    assert_eq!(text.to_string(), format!("get\n/-/vaults\nlimit=1&marker=b&marker=a\nhost={HOST}\n"));
    assert_eq!(text.parameter_list(), "limit;marker");
}

#[test]
fn cas_signs_the_path_as_sent_and_cos_decodes_it() {
    assert!(cas_text(&get("/-/vaults/%E6%96%87")).starts_with("get\n/-/vaults/%E6%96%87\n"));
    assert!(cos_text(&get("/%E6%96%87/a%20b/50%")).starts_with("get\n/文/a b/50%\n"));
    assert!(cas_text(&get("/-/vaults/文")).starts_with("get\n/-/vaults/文\n"));
    assert!(cos_text(&get("/文")).starts_with("get\n/文\n"));
    let error = FormatString::new(&get("/%FF"), &SigningOptions::cos()).unwrap_err();
    assert_eq!(error, SignError::PathNotUtf8);
}

#[test]
fn the_case_of_a_path_is_kept() {
    assert!(cas_text(&get("/-/vaults/My.Vault-1")).starts_with("get\n/-/vaults/My.Vault-1\n"));
}

#[test]
fn plus_is_a_plus_and_tilde_stays_however_it_came() {
    let request = get("/-/vaults").with_query("marker=a+b%2B%20~%7E");
    assert!(cas_text(&request).contains("\nmarker=a%2Bb%2B%20~~\n"), "{}", cas_text(&request));
}

#[test]
fn a_query_string_is_split_before_it_is_decoded() {
    let request = get("/-/vaults").with_query("&&marker=a%26limit%3D9%3D=&");
    assert!(cas_text(&request).contains("\nmarker=a%26limit%3D9%3D%3D\n"), "{}", cas_text(&request));
}

#[test]
fn an_empty_value_is_signed_as_the_dialect_says() {
    let request = get("/-/vaults").with_query("a&b=").with_header("x-cas-c", "");
    let text = |empty_values| {
        let mut options = SigningOptions::cas();
        options.dialect.empty_values = empty_values;
        FormatString::new(&request, &options).unwrap().to_string()
    };
    assert_eq!(text(EmptyValues::AsWritten), format!("get\n/-/vaults\na&b=\nhost={HOST}&x-cas-c=\n"));
    assert_eq!(text(EmptyValues::Bare), format!("get\n/-/vaults\na&b\nhost={HOST}&x-cas-c\n"));
    assert_eq!(text(EmptyValues::WithEquals), format!("get\n/-/vaults\na=&b=\nhost={HOST}&x-cas-c=\n"));
    assert_eq!(Dialect::COS.empty_values, EmptyValues::WithEquals);
}

#[test]
fn an_empty_parameter_name_is_refused_unless_parameters_are_left_out() {
    let request = get("/-/vaults").with_query("=value");
    assert_eq!(refusal(&request), SignError::Empty { field: Field::ParameterName });
    let mut options = SigningOptions::cas();
    options.parameters = ParameterPolicy::None;
    assert_eq!(signed(&request, &options).parameter_list(), "");
}

#[test]
fn parameter_names_are_lowered_encoded_and_sorted_as_each_dialect_does() {
    let request = get("/").with_parameter("标", "1").with_parameter("B_c", "2").with_parameter("a b", "3");
    let cas = FormatString::new(&request, &SigningOptions::cas()).unwrap();
    assert_eq!(cas.parameter_list(), "a%20b;b_c;%E6%A0%87");
    let cos = FormatString::new(&request, &SigningOptions::cos()).unwrap();
    assert_eq!(cos.parameter_list(), "%e6%a0%87;a%20b;b_c");
    let mut options = SigningOptions::cas();
    options.dialect.reading = ParameterReading::B;
    assert_eq!(FormatString::new(&request, &options).unwrap().parameter_list(), cos.parameter_list());
}

#[test]
fn only_ascii_letters_are_lowered() {
    let request = get("/").with_parameter("marker", "ÀİA");
    assert!(cas_text(&request).contains("\nmarker=%C3%80%C4%B0a\n"), "{}", cas_text(&request));
}

#[test]
fn header_values_are_signed_byte_by_byte_without_the_white_space_around_them() {
    let request = get("/").with_header("x-cas-a", &b" \t\xff \xe9 \t"[..]);
    assert!(cas_text(&request).contains("x-cas-a=%FF%20%E9\n"), "{}", cas_text(&request));
}

#[test]
fn authorization_is_never_signed() {
    let request = get("/").with_header("AUTHORIZATION", "secret");
    let mut options = SigningOptions::cas();
    for policy in [HeaderPolicy::All, HeaderPolicy::Named(vec!["authorization".into(), "host".into()])] {
        options.headers = policy;
        assert_eq!(signed(&request, &options).header_list(), "host");
    }
}

#[test]
fn more_headers_than_usual_are_signed_too() {
    let names: Vec<String> = (0..40).rev().map(|number| format!("x-cas-{number:02}")).collect();
    let request = names.iter().fold(get("/"), |request, name| request.with_header(name, "v"));
    let list = FormatString::new(&request, &SigningOptions::cas()).unwrap().header_list();
    assert_eq!(list.split(';').count(), 41);
    assert!(list.split(';').is_sorted());
}

#[test]
fn bad_input_is_refused_and_named() {
    let bad = |field, byte, at| SignError::ForbiddenByte { field, byte, at };
    assert_eq!(refusal(&get("/").with_header("X-Cas-A", "b\nc")), bad(Field::Header("x-cas-a".into()), b'\n', 1));
    assert_eq!(refusal(&get("/").with_header("date", "\r")), bad(Field::Header("date".into()), b'\r', 0));
    assert_eq!(refusal(&get("/").with_header("x cas", "v")), bad(Field::HeaderName, b' ', 1));
    assert_eq!(refusal(&get("/").with_header("", "v")), SignError::Empty { field: Field::HeaderName });
    assert_eq!(refusal(&get("/-/vaults?limit=1")), bad(Field::Path, b'?', 9));
    for (path, byte) in [("/\n", b'\n'), ("/\r", b'\r'), ("/\0", 0), ("/#", b'#'), ("/?", b'?')] {
        assert_eq!(refusal(&get(path)), bad(Field::Path, byte, 1));
    }
    assert_eq!(cas_text(&get("/ \t!\"")), format!("get\n/ \t!\"\n\nhost={HOST}\n"));
    assert_eq!(refusal(&get("-/vaults")), SignError::RelativePath);
    assert_eq!(refusal(&get("")), SignError::Empty { field: Field::Path });
    assert_eq!(refusal(&SignableRequest::new("", "/")), SignError::Empty { field: Field::Method });
    assert_eq!(refusal(&SignableRequest::new("GET ", "/")), bad(Field::Method, b' ', 3));
    assert_eq!(TimeRange::new(2, 1), Err(SignError::ReversedTimes { start: 2, end: 1 }));
}

#[test]
fn a_header_name_that_no_list_can_hold_is_refused_only_when_it_is_to_be_signed() {
    let request = get("/").with_header("x-cas-a&b", "1");
    let refused = SignError::ForbiddenByte { field: Field::HeaderName, byte: b'&', at: 7 };
    assert_eq!(refusal(&request), refused);
    let mut options = SigningOptions::cas();
    options.headers = HeaderPolicy::Named(vec!["host".into()]);
    assert_eq!(signed(&request, &options).header_list(), "host");
}

#[test]
fn a_sign_time_outside_the_key_time_is_refused() {
    let key_time = TimeRange::new(100, 200).unwrap();
    let mut options = SigningOptions::cas();
    options.key_time = KeyTime::Fixed(key_time);
    for (start, end) in [(99, 150), (150, 201), (0, 50), (250, 300)] {
        let sign_time = TimeRange::new(start, end).unwrap();
        let error = sign(&get("/"), &credentials(), sign_time, &options).unwrap_err();
        assert_eq!(error, SignError::OutsideKeyTime { sign_time, key_time });
    }
    assert!(sign(&get("/"), &credentials(), key_time, &options).is_ok());
}

#[test]
fn a_dialect_of_the_callers_own_signs_and_lists_by_its_rules() {
    let mut dialect = Dialect::COS;
    dialect.header_prefixes = vec!["x-own-".into()].into();
    dialect.lower_key_escapes = false;
    dialect.reading = ParameterReading::A;
    let request = get("/a%20b").with_parameter("K+", "V+").with_header("x-own-h", "1").with_header("x-cos-h", "2");
    let text = FormatString::new(&request, &SigningOptions::new(dialect)).unwrap().to_string();
    assert_eq!(text, format!("get\n/a b\nk%2B=v%2B\nhost={HOST}&x-own-h=1\n"));
}

#[test]
fn the_secret_key_may_hold_any_text_on_one_line() {
    for key in ["ключ", " spaces ", "&=;%", "k"] {
        assert!(Credentials::new("id", key).is_ok());
    }
    for key in [format!("{KEY}\n"), format!("{KEY}\r"), "\0".to_owned(), String::new()] {
        assert!(Credentials::new("id", key).is_err());
    }
}
