package trivet;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.redisson.Redisson;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * Redisson's objects on a server: java trivet.RedissonChecks HOST:PORT. Prints "ok NAME" for each promise that held and
 * "failed NAME: why" for each that did not.
 */
public final class RedissonChecks {
    static final long WAIT_SECONDS = 60;
    static final long WATCHDOG_MS = 9_000; // a lock is prolonged each third of it

    /** One promise. The two clients are those of all checks; names begin with what nobody else uses. */
    interface Check {
        void run(RedissonClient one, RedissonClient two) throws Exception;
    }

    private RedissonChecks() {}

    public static void main(String[] args) throws Exception {
        Map<String, Check> checks = new LinkedHashMap<>();
        Locks.addTo(checks);
        Collections.addTo(checks);
        Messages.addTo(checks);
        int failed = 0;
        RedissonClient one = connect(args[0]);
        RedissonClient two = connect(args[0]);
        Watchdog watchdog = new Watchdog(one, two);
        for (Map.Entry<String, Check> check : checks.entrySet()) {
            failed += run(check.getKey(), check.getValue(), one, two);
        }
        failed += run("a lock is prolonged for as long as its holder lives", watchdog, one, two);
        System.exit(failed == 0 ? 0 : 1);
    }

    private static int run(String name, Check check, RedissonClient one, RedissonClient two) {
        try {
            check.run(one, two);
            System.out.println("ok " + name);
            return 0;
        } catch (Throwable problem) {
            System.out.println("failed " + name + ": " + problem);
            problem.printStackTrace();
            return 1;
        }
    }

    private static RedissonClient connect(String address) {
        Config config = new Config();
        config.setLockWatchdogTimeout(WATCHDOG_MS).setThreads(2).setNettyThreads(2);
        config.useSingleServer().setAddress("redis://" + address).setTimeout(30_000)
                .setConnectionPoolSize(8).setConnectionMinimumIdleSize(1)
                .setSubscriptionConnectionPoolSize(4).setSubscriptionConnectionMinimumIdleSize(1);
        return Redisson.create(config);
    }

    static void require(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void same(Object expected, Object found) {
        require(Objects.equals(expected, found), "expected " + expected + ", found " + found);
    }

    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS);
        while (!condition.call()) {
            require(System.nanoTime() < end, "it never came true: " + what);
            Thread.sleep(10);
        }
    }
}
