"""Scripts on both servers: values, errors with their places, the order of tables, and numbers as arguments."""

import random
import re
import struct

import pytest
import redis

# One script a line. Left out: what kills the original, what it says with its own name, and what it lists of itself.
SCRIPTS = r"""
return string.rep()
return string.rep('x')
return ('x'):rep({})
local x = string.rep('x', {}) return x
return string.gsub('hello world','o','0',1)
return {string.find('hello','l+')}
return {string.find('hello','(l)(l)')}
return {string.match('key=val','(%w+)=(%w+)')}
return {string.match('2024-01-02','(%d+)-(%d+)-(%d+)')}
return string.match('x','[')
return string.match('x','%')
return string.match('x','(')
return string.match('x',')')
return string.match('x','%1')
return string.match('x','%b')
return string.match('x','%f')
return string.gsub('THE (quick) fox','%f[%a]%a+','X')
return string.gsub('abc','%w','%0%0')
return string.gsub('abc','%w','%2')
return string.gsub('abc','',{})
return string.gsub('abc','b',true)
return string.gsub('abc','b',function() return {} end)
return string.gsub('abc','(b)()',function(a,b) return a..b end)
local t={} for k,v in string.gmatch('a=1, b=2','(%w+)=(%w+)') do t[#t+1]=k..v end return t
local t={} for k in string.gmatch('abc','') do t[#t+1]='x' end return t
return table.insert(1,2)
return table.insert({},1,2,3)
return table.remove({1,2,3},1)
return table.maxn({1,2,[10]=3})
local t={5,2,8,1} table.sort(t) return t
local t={5,2,8,1} table.sort(t,function(a,b) return a>b end) return t
local t={5,'a'} table.sort(t) return t
local t={3,1,2,5,4,7,6,9,8,10} table.sort(t,function(a,b) return true end) return t
return {unpack({1,2,3})}
return {unpack({1,2,3},2)}
return {unpack({1,2,3},-1,1)}
math.randomseed(5) return {tostring(math.random()), math.random(10), math.random(5,7)}
math.randomseed(123456) return {tostring(math.random()), math.random(100), math.random(-5,7)}
return math.random(0)
return math.random(2,1)
return bit.tohex(255,-4)
return {bit.band(7,3),bit.bor(8,1),bit.bxor(5,1),bit.lshift(1,31),bit.rshift(-1,28),bit.arshift(-16,2),bit.rol(0x12345678,8),bit.ror(0x12345678,8),bit.bswap(0x12345678),bit.bnot(0),bit.tobit(2^32+5)}
return bit.band()
return bit.tobit(1e15)
return bit.tobit(0/0)
error('x')
error('x',2)
error('x',0)
error({err='MY e'})
error(nil)
error(true)
error(5)
local a = nil; return a.b
local a = nil; a()
return 1 + {}
return 1 < 'x'
return #5
return nosuch
nosuch = 5
return string.nosuch
return redis.nosuch
string.x = 5
redis.x = 5
return redis.call('nosuch')
return redis.call('get')
return redis.call('get', {})
return redis.call('set','a')
return redis.pcall('nosuch')
return type(redis.pcall('nosuch'))
return cjson.encode(redis.pcall('nosuch'))
local ok,e = pcall(redis.call,'nosuch') return {tostring(ok), type(e), e}
local ok,e = pcall(redis.call,'nosuch') return e
local ok,e = pcall(error,{err='x'}) return type(e)
local ok,e = pcall(error,{}) return type(e)
local ok,e = pcall(error,'x') return e
local ok,e = pcall(string.rep) return e
local ok,e = xpcall(function() error('q') end, function(m) return 'H'..m end) return e
return redis.error_reply('x')
return redis.error_reply('-x y')
return redis.error_reply('ERR y')
return redis.status_reply('x')
return redis.error_reply()
return redis.status_reply({})
return {err='x'}
return {err='-x y'}
return {ok='x y'}
return redis.sha1hex()
return redis.sha1hex('a')
return redis.sha1hex(1)
redis.log('a','b')
redis.log(9,'b')
redis.setresp(4)
return redis.REDIS_VERSION_NUM and 1
return loadstring('return 1')()
return loadstring('x x')
return {loadstring('x x')}
return loadstring('return x')()
return loadstring('error("a")')()
local f=loadstring('error("a")') f()
return load('return 1')
return tostring(1e15)
return tostring(0.1)
return tostring(1e100)
return tostring(-0)
return tostring(1/0)
return 3.99
return -3.99
return 1e18
return 1e19
return -1e300
return 0/0
return 1/0
return 'a'..1.5
return 10 .. ''
return cjson.encode({1,2,{a=1}})
return cjson.encode({b=1,a=2,c=3,d=4,user="x"})
return cjson.encode({})
return cjson.encode({[1]=1,[3]=3})
return cjson.encode({[1]=1,[100]=3})
return cjson.encode({1.5,1e100,0.1,-5,1e15,123456789012345})
return cjson.encode(function() end)
return cjson.encode({[{}]=1})
return cjson.encode('a"\\\n\0\127\200/')
return cjson.encode(1/0)
return cjson.decode('{"a":[1,2,{"b":null}]}').a[3].b == cjson.null
return cjson.decode('[1,')
return cjson.decode('{"a":}')
return cjson.decode('nan')
return cjson.decode('')
return cjson.decode('[1] x')
return cjson.decode('"\\u00e9\\ud83d\\ude00"')
return cjson.decode('"\\ud83d"')
return tostring(cjson.decode('1e400'))
return cjson.decode('0x10')
return cjson.encode(cjson.decode('{"z":1,"y":2,"x":[],"w":{}}'))
return cjson.encode()
return cjson.encode(1,2)
return cjson.decode({})
local t={} t[1]=t return cjson.encode(t)
local t={} local x=t for i=1,1001 do local n={} x[1]=n x=n end return #cjson.encode(t)
return cjson.decode(string.rep('[',1001)..string.rep(']',1001))
return cmsgpack.pack()
return cmsgpack.pack({1,2,{a=1}},'x',nil,true,1.5,-1,300,70000,5e9,-5e9,1e300)
return cmsgpack.pack({b=1,a=2,c=3,d=4})
return {cmsgpack.unpack(cmsgpack.pack(1,2,3))}
return cmsgpack.unpack('\200')
return cmsgpack.unpack('')
return cmsgpack.unpack()
return {cmsgpack.unpack_one(cmsgpack.pack(1,2),0)}
return {cmsgpack.unpack_limit(cmsgpack.pack(1,2,3),2,0)}
return {cmsgpack.unpack_one('abc',9)}
return struct.pack('>I2',1)
return struct.pack('q',1)
return {struct.unpack('>I2','\1\2')}
return {struct.unpack('>I2','\1')}
return struct.size('>I2i4')
local t={} for i=1,20 do t['k'..i]=i end local r={} for k,v in pairs(t) do r[#r+1]=k end return r
local t={} for i=20,1,-1 do t['k'..i]=i end local r={} for k,v in pairs(t) do r[#r+1]=k end return r
local r={} for k in pairs(string) do r[#r+1]=k end table.sort(r) return r
local r={} for k in pairs(table) do r[#r+1]=k end table.sort(r) return r
local r={} for k in pairs(math) do r[#r+1]=k end table.sort(r) return r
local r={} for k in pairs(os) do r[#r+1]=k end table.sort(r) return r
local r={} for k in pairs(struct) do r[#r+1]=k end table.sort(r) return r
local r={} for k in pairs(bit) do r[#r+1]=k end table.sort(r) return r
local r={} for k in pairs(coroutine) do r[#r+1]=k end table.sort(r) return r
coroutine.x=5
local co=coroutine.create(function(a) local b=coroutine.yield(a+1) error('in co '..b) end) local r={coroutine.resume(co,1)} local s={coroutine.resume(co,5)} return {r[2],tostring(s[1]),s[2],coroutine.status(co)}
return coroutine.yield(1)
local f=coroutine.wrap(function() error('w') end) f()
local f=coroutine.wrap(function() error({err='MY w'}) end) f()
return coroutine.wrap(5)
local function f() return f() + 1 end return f()
local function f() return string.gsub('a','a',f) end return f()
local function f() local ok,e=pcall(f) if not ok then error(e,0) end end return f()
local function f() return xpcall(f, f) end return tostring(f())
local t=setmetatable({},{__index=function(t,k) return t[k+1] end}) return t[1]
local t=setmetatable({},{__tostring=function(t) return tostring(t) end}) return tostring(t)
local t=setmetatable({},{__tostring=function(t) return 5 end}) return tostring(t)
local t={} setmetatable(t,{__index=t}) return t.x
local t=setmetatable({},{__lt=function(a,b) return a<b end}) return t<t
local a,b={},{} local m={__lt=function(a,b) table.sort({a,b}) return true end} setmetatable(a,m) setmetatable(b,m) return tostring(a<b)
return string.format('%d', 'x')
return string.format('%d', 3.7)
return string.format('%y', 3)
return string.format('%5.2f|%s|%q|%x|%c', 3.14159, 'a', 'b\n"', 255, 65)
return string.format('%s')
return string.format('%99.99f', 1e300)
return string.format('%100d', 1)
return ('x'):bad()
local s = 'x' return s.y
return next({})
return select('#',1,2,3)
return select(0)
return tonumber('0x10') + tonumber('z',36) + (tonumber('x') or 100)
return tonumber('10',99)
return rawget(_G,'x')
return rawequal(1,1)
setmetatable(_G,{})
rawset(_G,'x',1)
return collectgarbage('count') > 1
return collectgarbage('x')
return assert(false)
return assert(false,'m')
return assert(nil,{err='TBL x'})
return assert(1,2)
return ipairs()
return setmetatable(1,{})
return setmetatable({},1)
return tostring()
return type()
return {double=0.1}
return {map={a=1}}
return {set={a=true}}
return {big_number='123'}
return {verbatim_string={format='txt',string='hello'}}
return {1,2,nil,4}
return {a=1}
return true
return false
return nil
return function() end
return coroutine.create(function() end)
return math.floor(3.7)
return tostring(math.huge)
return string.byte('abc',1,-1)
return {string.byte('abc',1,-1)}
return string.char(300)
return string.char(65,66)
return string.sub('hello',-3,-2)
return string.len('a\0b')
return string.reverse('abc')
return table.concat({1,2,3},',')
return table.concat({1,{},3},',')
return table.concat({},',')
return table.concat({1,2,3},',',2,5)
return table.getn({1,2})
return table.setn({1,2},1)
return table.foreach({1,2},function(k,v) return v end)
return table.foreachi({1,2},function(k,v) error('fe') end)
return string.gfind('abc','b')()
return math.mod(5,3)
return math.pow(2,10)
return os.time()
return KEYS[1]
return #ARGV
KEYS[1]='x' return KEYS[1]
return print
return require
return gcinfo() > 0
return dofile
return module
return debug
return package
return io
return string.dump
return string.dump(function() end) ~= nil
return loadstring(string.dump(function() end))
return redis.acl_check_cmd('get')
return redis.acl_check_cmd('get','a')
return redis.replicate_commands()
return redis.call('eval','return 1',0)
return redis.call('select',99)
return redis.call('multi')
return redis.call('incr','k',5)
redis.call('set','st','x') return redis.call('lpush','st','y')
return redis.call('incrbyfloat','fl',0.1)
return redis.call('hset','h1','f',0.1,'g',1e17,'i',1/3)
return redis.call('hgetall','h1')
redis.setresp(3) return redis.call('hgetall','h1')
return redis.call('zadd','z1',0.1,'a',1e-310,'b')
return redis.call('zrange','z1',0,-1,'withscores')
redis.setresp(3) return redis.call('zscore','z1','a')
return redis.call('object','help')[1]
return redis.call('SET','a',nil)
return redis.call(nil)
return redis.call(true)
return redis.call('ping','a','b')
goto x
return (
x =
return 'abc
--[[ foo
return "\400"
return 08
return 1..2
local function a() return b() end return a()
local a <const> = 5
for i=1,'x' do end
for i=1,10,0 do return i end
return -nil
return {} .. 'x'
return {} == {}
return 2^53
return 5 % 0
return -5 % 3
return 5.5 % -2
return 'é'
"""

ADDRESS = re.compile(r"0x[0-9a-f]+")


@pytest.fixture(scope="module")
def clients(module_ports):
    pair = [redis.Redis(port=port, socket_timeout=10) for port in module_ports]
    yield pair
    for client in pair:
        client.close()


@pytest.fixture(scope="module")
def module_ports(request):
    """(original, under test), fresh for this file."""
    from harness import originals, trivet

    reason = originals.available("redis")
    if reason:
        pytest.skip(reason)
    servers = [originals.ORIGINALS["redis"]().start()]
    tested = trivet.Trivet() if request.config.getoption("--target") == "trivet" else originals.ORIGINALS["redis"]()
    servers.append(tested.start())
    yield [server.port_of("redis") for server in servers]
    for server in servers:
        server.close()


def answer(client, script, *args):
    try:
        return client.eval(script, 0, *args)
    except redis.exceptions.ResponseError as error:
        return f"error: {error}"


@pytest.mark.parametrize("script", [line for line in SCRIPTS.splitlines() if line])
def test_a_script_answers_as_the_original(clients, script):
    original, tested = (ADDRESS.sub("an address", repr(answer(client, script))) for client in clients)
    assert tested == original


def numbers(seed, count):
    """Of every kind: whole ones around powers of ten and two, decimals of few places, and any bits."""
    draw = random.Random(seed)
    for _ in range(count):
        yield draw.choice(
            [
                lambda: float(10 ** draw.randint(0, 22) + draw.randint(-2, 2)),
                lambda: float(2 ** draw.randint(0, 70) + draw.randint(-2, 2)),
                lambda: round(draw.uniform(-1000, 1000), draw.randint(0, 9)),
                lambda: draw.uniform(-1, 1) * 10.0 ** draw.randint(-30, 30),
                lambda: struct.unpack("d", draw.randbytes(8))[0],
            ]
        )()


@pytest.mark.seeds(3)
def test_numbers_become_the_same_arguments(clients, seed):
    values = [value for value in numbers(seed, 500) if value == value]
    script = "local n = struct.unpack('<d', ARGV[1]) return redis.call('echo', n)"
    for value in values:
        original, tested = (answer(client, script, struct.pack("<d", value)) for client in clients)
        assert tested == original, value.hex()


@pytest.mark.seeds(5)
def test_tables_keep_the_same_order(clients, seed):
    """Keys of at most 31 bytes: of longer ones Valkey's Lua hashes other bytes than Debian's."""
    draw = random.Random(seed)
    keys = [draw.choice([f"'{draw.choice('abcxyz') * draw.randint(1, 28)}{draw.randint(0, 99)}'", str(draw.randint(-50, 50)), f"{draw.uniform(-5, 5):.3f}"])
            for _ in range(draw.randint(1, 200))]  # fmt: skip
    fill = "local t = {} " + " ".join(f"t[{key}] = {i}" for i, key in enumerate(keys))
    script = fill + " local r = {} for k, v in pairs(t) do r[#r + 1] = tostring(k) .. '=' .. v end return r"
    original, tested = (answer(client, script) for client in clients)
    assert tested == original and len(tested) > 0


@pytest.mark.seeds(5)
def test_sorting_leaves_equal_elements_in_the_same_order(clients, seed):
    draw = random.Random(seed)
    elements = ", ".join(f"{{{draw.randint(0, 20)}, {i}}}" for i in range(draw.randint(2, 300)))
    script = f"local t = {{{elements}}} table.sort(t, function(a, b) return a[1] < b[1] end) local r = {{}} for i, v in ipairs(t) do r[i] = v[2] end return r"
    original, tested = (answer(client, script) for client in clients)
    assert tested == original


PIECES = ["a", "b", ".", "%a", "%d", "%s", "[ab]", "[^a]", "[a-c%d]", "(a)", "(.-)", "()", "%1", "%b()", "%f[%a]", "^", "$", "%z", "[]]", "("]


@pytest.mark.seeds(200)
def test_patterns_match_alike(clients, seed):
    draw = random.Random(seed)
    pattern = "".join(draw.choice(PIECES) + draw.choice(["", "", "*", "+", "-", "?"]) for _ in range(draw.randint(1, 6)))
    subject = "".join(draw.choice("aab c1(2)") for _ in range(draw.randint(0, 12)))
    script = """
        local r = {}
        for _, f in ipairs({string.find, string.match, function(s, p) return string.gsub(s, p, '<%0>') end}) do
            local found = {pcall(f, ARGV[1], ARGV[2])}
            for i = 1, 8 do r[#r + 1] = tostring(found[i]) end
        end
        return r"""
    original, tested = (answer(client, script, subject, pattern) for client in clients)
    assert tested == original, (subject, pattern)
