/* script_test.c: scripts against a host that answers a few commands: conversions, errors, the sandbox, pausing. */
#include "redis/script/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct host {
    script_engine_t *engine;
    script_tick_t tick;
    int ticks;
    buf_t reply;
    char logged[64];
} host_t;

/* Answers with whatever RESP stands in the second word: ECHO's own test double. */
static void on_call(void *user, const bytes_t *argv, int argc, int resp, buf_t *reply)
{
    if (argc == 2 && bytes_eq(argv[0], BYTES_LIT("resp")))
        buf_append(reply, argv[1].ptr, argv[1].len);
    else if (argc >= 2 && bytes_eq(argv[0], BYTES_LIT("echo")))
        buf_printf(reply, "$%zu\r\n%.*s\r\n", argv[1].len, (int)argv[1].len, (const char *)argv[1].ptr);
    else
        buf_printf(reply, "-ERR Unknown Redis command called from script\r\n");
}

static void on_log(void *user, int level, bytes_t text)
{
    host_t *host = user;
    snprintf(host->logged, sizeof(host->logged), "%d %.*s", level, (int)text.len, (const char *)text.ptr);
}

static script_tick_t on_tick(void *user)
{
    host_t *host = user;
    host->ticks++;
    return host->tick;
}

static size_t format_number(char *out, double v) { return (size_t)sprintf(out, "%.14g", v); }

static int on_check(void *user, const bytes_t *argv, int argc) { return bytes_eq(argv[0], BYTES_LIT("echo")) ? 1 : -1; }

static int setup(void **state)
{
    host_t *host = mem_zalloc(sizeof(*host));
    script_host_t def = {.user = host,
                         .call = on_call,
                         .log = on_log,
                         .tick = on_tick,
                         .format = format_number,
                         .check = on_check,
                         .seed = 7,
                         .version = "7.2.4",
                         .version_num = 0x00070204};
    host->engine = script_engine_new(&def);
    *state = host;
    return 0;
}

static int teardown(void **state)
{
    host_t *host = *state;
    script_engine_free(host->engine);
    buf_deinit(&host->reply);
    mem_free(host);
    return 0;
}

/* The reply to a script run with KEYS {k1} and ARGV {a1, a2}, in the client's protocol version. */
static const char *run_as(host_t *host, int resp, const char *source)
{
    const script_t *script;
    bytes_t key = BYTES_LIT("k1"), args[] = {BYTES_LIT("a1"), BYTES_LIT("a2")};
    buf_clear(&host->reply);
    if (script_load(host->engine, bytes_str(source), true, &script, &host->reply) == 0) {
        script_result_t result =
            script_run(host->engine, script, &(script_given_t){&key, args, 1, 2, resp, &host->reply});
        assert_int_equal(result, SCRIPT_DONE);
    }
    buf_u8(&host->reply, 0);
    return (const char *)host->reply.ptr;
}

static const char *run(host_t *host, const char *source) { return run_as(host, 2, source); }

static void lua_values_become_replies(void **state)
{
    host_t *host = *state;
    assert_string_equal(run(host, "return 3.99"), ":3\r\n");
    assert_string_equal(run(host, "return 'text'"), "$4\r\ntext\r\n");
    assert_string_equal(run(host, "return true"), ":1\r\n");
    assert_string_equal(run(host, "return false"), "$-1\r\n");
    assert_string_equal(run(host, "return"), "$-1\r\n");
    assert_string_equal(run(host, "return {1,'x',{2},nil,9}"), "*3\r\n:1\r\n$1\r\nx\r\n*1\r\n:2\r\n");
    assert_string_equal(run(host, "return {ok='fine'}"), "+fine\r\n");
    assert_string_equal(run(host, "return {err='ERR bad'}"), "-ERR bad\r\n");
    assert_string_equal(run(host, "return redis.error_reply('-MY bad')"), "-MY bad\r\n");
    assert_string_equal(run(host, "return {KEYS[1], ARGV[2]}"), "*2\r\n$2\r\nk1\r\n$2\r\na2\r\n");
    assert_string_equal(run_as(host, 3, "redis.setresp(3); return {map={a=1}}"), "%1\r\n$1\r\na\r\n:1\r\n");
    assert_string_equal(run_as(host, 3, "redis.setresp(3); return false"), "#f\r\n");
    assert_string_equal(run_as(host, 3, "return {double=0.5}"), ",0.5\r\n");
    assert_string_equal(run(host, "return {verbatim_string={format='txt', string='hi'}}"), "$2\r\nhi\r\n");
}

static void replies_become_lua_values(void **state)
{
    host_t *host = *state;
    assert_string_equal(run(host, "return redis.call('echo', 12) .. '/' .. redis.call('echo', 1.5)"),
                        "$6\r\n12/1.5\r\n");
    assert_string_equal(run(host, "return redis.call('resp', '*2\\r\\n:1\\r\\n$-1\\r\\n')[2] == false"), ":1\r\n");
    assert_string_equal(run(host, "return redis.call('resp', '+OK\\r\\n').ok"), "$2\r\nOK\r\n");
    assert_string_equal(run(host, "return redis.pcall('nothing').err"),
                        "$44\r\nERR Unknown Redis command called from script\r\n");
    assert_string_equal(run(host, "return redis.call('resp', '%1\\r\\n$1\\r\\na\\r\\n,2.5\\r\\n').map.a.double * 2"),
                        ":5\r\n");
    assert_string_equal(run(host, "return redis.call('resp', '~1\\r\\n$1\\r\\na\\r\\n').set.a"), ":1\r\n");
}

static void errors_name_the_script_and_its_line(void **state)
{
    host_t *host = *state;
    const char *reply = run(host, "\nlocal x = redis.call('nothing') return x");
    assert_non_null(strstr(reply, "-ERR Unknown Redis command called from script script: "));
    assert_non_null(strstr(reply, ", on @user_script:2.\r\n"));
    reply = run(host, "return redis.call('nothing')"); /* a tail call leaves no frame to ask */
    assert_non_null(strstr(reply, ", on @user_script:1.\r\n"));
    reply = run(host, "error('boom')");
    assert_memory_equal(reply, "-ERR user_script:1: boom script: ", 33);
    assert_memory_equal(run(host, "return ("), "ERR Error compiling script", 26);
    assert_memory_equal(run(host, "return redis.call()"), "-ERR Please specify at least one argument", 41);
    assert_memory_equal(run(host, "return redis.call('echo', {})"), "-ERR Command arguments must be", 30);
}

static void globals_and_libraries_are_locked(void **state)
{
    host_t *host = *state;
    const char *attempts[] = {"x = 1",
                              "_G.x = 1",
                              "rawset(_G, 'x', 1)",
                              "redis.call = nil",
                              "string.format = nil",
                              "setmetatable(_G, {})",
                              "setmetatable(redis, nil)"};
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
        assert_non_null(strstr(run(host, attempts[i]), "Attempt to modify a readonly table"));
    assert_non_null(strstr(run(host, "return x"), "nonexistent global variable 'x'"));
    assert_non_null(strstr(run(host, "return io"), "nonexistent global variable 'io'"));
    assert_non_null(strstr(run(host, "return ffi"), "nonexistent global variable 'ffi'"));
    assert_non_null(strstr(run(host, "return loadstring('return x')()"), "nonexistent global variable 'x'"));
    assert_string_equal(run(host, "return getmetatable('')"), "$-1\r\n");
}

static void a_long_script_pauses_and_goes_on(void **state)
{
    host_t *host = *state;
    const script_t *script;
    host->tick = SCRIPT_PAUSE;
    assert_int_equal(script_load(host->engine, BYTES_LIT("local n = 0 for i = 1, 1000000 do n = n + 1 end return n"),
                                 true, &script, &host->reply),
                     0);
    int turns = 0;
    script_result_t result =
        script_run(host->engine, script, &(script_given_t){.client_resp = 2, .reply = &host->reply});
    for (; result == SCRIPT_PAUSED; turns++) {
        assert_int_equal(host->reply.len, 0);
        result = script_resume(host->engine);
    }
    assert_true(turns > 5);
    assert_memory_equal(host->reply.ptr, ":1000000\r\n", 10);
}

static void a_stopped_script_cannot_catch_its_end(void **state)
{
    host_t *host = *state;
    host->tick = SCRIPT_STOP;
    const char *reply = run(host, "while true do pcall(function() while true do end end) end");
    assert_non_null(strstr(reply, "Script killed by user with SCRIPT KILL"));
    host->tick = SCRIPT_GO_ON;
    assert_string_equal(run(host, "return 1"), ":1\r\n");
}

static void libraries_do_what_they_are_for(void **state)
{
    host_t *host = *state;
    assert_string_equal(run(host, "return cjson.encode(cjson.decode('[1,2.5,\"x\",null,{\"a\":true}]'))"),
                        "$27\r\n[1,2.5,\"x\",null,{\"a\":true}]\r\n");
    assert_string_equal(run(host, "return {bit.band(0xff, 0x0f), bit.tohex(255)}"), "*2\r\n:15\r\n$8\r\n000000ff\r\n");
    assert_string_equal(run(host, "return redis.sha1hex('')"), "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n");
    assert_string_equal(run(host, "local t = cmsgpack.unpack(cmsgpack.pack({1,-2,'x',{a=true},1.5}))\n"
                                  "return {t[1], t[2], t[3], t[4].a, tostring(t[5]), #t}"),
                        "*6\r\n:1\r\n:-2\r\n$1\r\nx\r\n:1\r\n$3\r\n1.5\r\n:5\r\n");
    assert_string_equal(run(host, "return {struct.unpack('>I2i4s', struct.pack('>I2i4s', 258, -3, 'hey'))}"),
                        "*4\r\n:258\r\n:-3\r\n$3\r\nhey\r\n:11\r\n");
    assert_string_equal(run(host, "return struct.pack('>hc0', 3, 'abc')"), "$5\r\n\0");
    assert_non_null(strstr(run(host, "return cmsgpack.unpack('\\145\\193')"), "Bad data format in input."));
    run(host, "redis.log(redis.LOG_WARNING, 'a', 1)");
    assert_string_equal(host->logged, "3 a 1");
}

/* Each line is true. */
static const char *const truths[] = {
    "string.find('abcabc', 'c') == 3",
    "string.find('abcabc', 'c', 3) == 3",
    "string.find('abcabc', 'c', 4) == 6",
    "string.find('abcabc', 'b', -2) == 5",
    "string.find('abcabc', 'a', -2) == nil",
    "string.find('abc', '', 10) == 4", /* past the end is the end */
    "string.find('a.c', '.', 2, true) == 2",
    "string.find('abc', '.c', 2, true) == nil",
    "string.find('abc', '^b') == nil and string.find('abc', '^b', 2) == 2",
    "select('#', string.find('key=val', '(%w+)=(%w+)')) == 4",
    "select(2, string.find('xaaay', 'a+')) == 4",
    "string.match('2024-05-06', '(%d+)-(%d+)', 6) == '05'",
    "string.match('  x  ', '^%s*(.-)%s*$') == 'x'",
    "string.match('hello', '()ll()') == 3 and select(2, string.match('hello', '()ll()')) == 5",
    "string.match('[[a]b]', '%b[]') == '[[a]b]'",
    "string.match('THE (quick) fox', '%((%a+)%)') == 'quick'",
    "string.gsub('abc', '%w', '%0%0') == 'aabbcc'",
    "string.gsub('abc', '', '-') == '-a-b-c-'",
    "select(2, string.gsub('aaa', 'a', 'b', 2)) == 2",
    "string.gsub('hello world', 'o', {o = '0'}) == 'hell0 w0rld'",
    "string.gsub('THE (quick) fox', '%f[%a]%a+', string.lower) == 'the (quick) fox'",
    "select(2, pcall(error, {err = 'E x'})) == 'E x'",
    "select(2, pcall(error, {x = 1})).x == 1",
    "not pcall(string.find, 'a', '(')",
    "not pcall(string.find, 'a', '%1')",
    "not pcall(string.gsub, 'abc', '(a)', '%2')",
    "(function() local n = 0 for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do n = n + v end return n end)() == "
    "3",
    "table.concat({1, 2, 3}, ',', 2, 3) == '2,3'",
    "(function() local t = {1, 2, 3} table.insert(t, 2, 9) return table.concat(t, ' ') end)() == '1 9 2 3'",
    "(function() local t = {1, 2, 3} return table.remove(t, 1) == 1 and table.concat(t, ' ') == '2 3' end)()",
};

static void patterns_and_tables_are_lua_s(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(truths); i++) {
        char source[256];
        snprintf(source, sizeof(source), "return {(%s) == true}", truths[i]);
        const char *reply = run(*state, source);
        if (strcmp(reply, "*1\r\n:1\r\n") != 0) fail_msg("%s: %s", truths[i], reply);
    }
}

/* Of each length, in any order, with and without equals: all is there, in order. */
static void tables_are_sorted(void **state)
{
    static const char source[] =
        "local function check(n, values, less)\n"
        "  local t, sum = {}, 0\n"
        "  for i = 1, n do t[i] = math.random(values); sum = sum + t[i] end\n"
        "  table.sort(t, less)\n"
        "  for i = 1, n do\n"
        "    sum = sum - t[i]\n"
        "    if i > 1 and (less and less(t[i], t[i - 1]) or not less and t[i] < t[i - 1]) then return i end\n"
        "  end\n"
        "  return #t == n and sum == 0 and 0 or -1\n"
        "end\n"
        "for n = 0, 60 do\n"
        "  for _, values in ipairs({1, 3, 1000000}) do\n"
        "    if check(n, values) ~= 0 then return {n, values} end\n"
        "    if check(n, values, function(a, b) return a > b end) ~= 0 then return {n, -values} end\n"
        "  end\n"
        "end\n"
        "return 'sorted'";
    assert_string_equal(run(*state, source), "$6\r\nsorted\r\n");
}

static void a_shebang_declares_flags(void **state)
{
    host_t *host = *state;
    const script_t *script;
    assert_int_equal(
        script_load(host->engine, BYTES_LIT("#!lua flags=no-writes,allow-oom\nreturn 1"), true, &script, &host->reply),
        0);
    assert_int_equal(script->flags, SCRIPT_HAS_SHEBANG | SCRIPT_NO_WRITES | SCRIPT_ALLOW_OOM);
    assert_memory_equal(run(host, "#!python\nreturn 1"), "ERR Unexpected engine in script shebang: python", 47);
    assert_memory_equal(run(host, "#!lua flags=what\nreturn 1"), "ERR Unexpected flag in script shebang: what", 43);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lua_values_become_replies, setup, teardown),
        cmocka_unit_test_setup_teardown(replies_become_lua_values, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_name_the_script_and_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(globals_and_libraries_are_locked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_script_pauses_and_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stopped_script_cannot_catch_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(libraries_do_what_they_are_for, setup, teardown),
        cmocka_unit_test_setup_teardown(patterns_and_tables_are_lua_s, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_are_sorted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shebang_declares_flags, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
