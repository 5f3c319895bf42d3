use tidegate_templates::span_pattern;

fn check(name: &str, pattern: &str) {
    assert_eq!(span_pattern(name), pattern, "{name}");
}

#[test]
fn reference_vectors_hold() {
    check("GET /users/123", "GET /users/<PATH>");
    check("grpc.UserService/GetUser", "grpc.UserService/GetUser");
    check("database-query", "database-query");
    check("my-operation-deadbeef1234", "my-operation-<HEX>");
    check("connect 192.168.1.100", "connect <IP>");
    check("timeout-500ms", "timeout-<DURATION>");
    check("process-batch-42", "process-batch-<NUM>");
    check("user-service/resetPassword", "user-service/<METHOD>");
    check("db/query", "db/<METHOD>");
}

#[test]
fn paths_keep_what_names_the_resource() {
    check("GET /users", "GET /users");
    check("GET /api/v1/users/7", "GET /api/v1/<PATH>");
    check("GET /users/{id}", "GET /users/{id}");
    check("GET /search?q=a", "GET /search");
    check("GET", "GET");
    check("/health", "/health");
    check("POST /", "POST /");
}

#[test]
fn statements_keep_verb_and_table() {
    check("SELECT id, name FROM users WHERE id = 7", "SELECT <SQL> FROM users <SQL>");
    check("DELETE FROM users", "DELETE FROM users");
    check("insert into users(id) values (1)", "insert into users <SQL>");
    check("UPDATE users SET a = 1", "UPDATE users <SQL>");
    check("UPDATE 7 rows", "UPDATE <NUM> rows");
    check("select an item", "select an item");
}

#[test]
fn values_are_found_between_words() {
    check("job 2024-01-02T03:04:05Z done", "job <TIMESTAMP> done");
    check("mail ada@example.org", "mail <EMAIL>");
    check("fetch https://example.org/a?b=c", "fetch <URL>");
    check("read 2.5MB", "read <SIZE>");
    check("order-0188a6b2-1111-7abc-8def-0123456789ab", "order-<UUID>");
    check("http2 ping", "http2 ping");
    check("naïve–span 7", "naïve–span <NUM>");
    check("", "");
    check("   ", "");
}
