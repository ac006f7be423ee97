//! Names of init functions and of subprotocols.

/// The name of the init function of a type: `echo_init` for `Echo`, `http_log_init` for `HTTPLog`.
pub(crate) fn init_of(type_name: &str) -> String {
    let mut symbol = snake_case(type_name);
    symbol.push_str("_init");
    symbol
}

/// The name that compilers of Microsoft give an init function in the table of a 32-bit library, and
/// that configurations of the C module have there. A function `extern "C"` gets it: for `extern
/// "system"` the compiler adds another `@0`. Without arguments both are called in the same way.
pub(crate) fn decorated(symbol: &str) -> String {
    format!("_{symbol}@0")
}

fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|i| letters[i]);
        let after = letters.get(index + 1);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase()
                    || b.is_ascii_digit()
                    || b.is_uppercase() && after.is_some_and(|a| a.is_lowercase())
            });
        if starts_word {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Whether the name is a C identifier, and so works in `WebSocketHandler`.
pub(crate) fn is_c_identifier(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether the name is valid in `Sec-WebSocket-Protocol` (RFC 6455, section 4.1; RFC 9110, section
/// 5.6.2).
pub(crate) fn is_token(name: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::init_of;

    #[test]
    fn the_init_function_is_named_after_the_type() {
        let cases = [
            ("Echo", "echo_init"),
            ("DumbIncrement", "dumb_increment_init"),
            ("HTTPLog", "http_log_init"),
            ("ChatV2", "chat_v2_init"),
            ("V2Chat", "v2_chat_init"),
            ("lower_case", "lower_case_init"),
        ];
        for (name, symbol) in cases {
            assert_eq!(init_of(name), symbol);
        }
    }
}
