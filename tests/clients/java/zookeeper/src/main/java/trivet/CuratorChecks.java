package trivet;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryOneTime;

/**
 * Apache Curator's recipes against a server: java trivet.CuratorChecks HOST:PORT. Prints "ok NAME" for each promise
 * that held and "failed NAME: why" for each that did not.
 */
public final class CuratorChecks {
    static final long WAIT_SECONDS = 15;

    /** One promise. It gets two clients of its own and a path that nobody else uses. */
    interface Check {
        void run(CuratorFramework one, CuratorFramework two, String path) throws Exception;
    }

    private CuratorChecks() {}

    public static void main(String[] args) throws Exception {
        Map<String, Check> checks = new LinkedHashMap<>();
        Recipes.addTo(checks);
        Caches.addTo(checks);
        int failed = 0;
        int number = 0;
        for (Map.Entry<String, Check> check : checks.entrySet()) {
            String path = "/curator-" + System.nanoTime() + "-" + number++;
            try (CuratorFramework one = connect(args[0]); CuratorFramework two = connect(args[0])) {
                check.getValue().run(one, two, path);
                System.out.println("ok " + check.getKey());
                if (one.checkExists().forPath(path) != null) {
                    one.delete().deletingChildrenIfNeeded().forPath(path);
                }
            } catch (Throwable problem) {
                failed++;
                System.out.println("failed " + check.getKey() + ": " + problem);
                problem.printStackTrace();
            }
        }
        System.exit(failed == 0 ? 0 : 1);
    }

    static CuratorFramework connect(String address) throws InterruptedException {
        CuratorFramework client = CuratorFrameworkFactory.newClient(address, 10_000, 10_000, new RetryOneTime(100));
        client.start();
        require(client.blockUntilConnected((int) WAIT_SECONDS, TimeUnit.SECONDS), "connected");
        return client;
    }

    static void require(boolean held, String what) {
        if (!held) {
            throw new AssertionError("not so: " + what);
        }
    }

    static void eventually(Callable<Boolean> condition, String what) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS);
        while (!condition.call()) {
            require(System.nanoTime() < deadline, what);
            Thread.sleep(10);
        }
    }

    /** Runs all at once and returns when all are done; the first exception of any is thrown. */
    static void together(List<Callable<Void>> tasks) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(tasks.size());
        try {
            List<Future<Void>> running = new ArrayList<>();
            for (Callable<Void> task : tasks) {
                running.add(threads.submit(task));
            }
            for (Future<Void> one : running) {
                one.get(WAIT_SECONDS * 2, TimeUnit.SECONDS);
            }
        } catch (ExecutionException problem) {
            throw problem.getCause() instanceof Exception inner ? inner : problem;
        } finally {
            threads.shutdownNow();
        }
    }
}
