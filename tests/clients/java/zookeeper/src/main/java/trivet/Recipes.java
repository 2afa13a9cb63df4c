package trivet;

import static trivet.CuratorChecks.WAIT_SECONDS;
import static trivet.CuratorChecks.eventually;
import static trivet.CuratorChecks.require;
import static trivet.CuratorChecks.together;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedCountListener;
import org.apache.curator.framework.recipes.shared.SharedCountReader;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;

/** Leaders, locks, barriers, counters. */
final class Recipes {
    private Recipes() {}

    static void addTo(Map<String, CuratorChecks.Check> checks) {
        checks.put("leader latch hands over when the leader closes", Recipes::leaderLatch);
        checks.put("leader selector gives each its turn", Recipes::leaderSelector);
        checks.put("inter-process mutex excludes and is reentrant", Recipes::mutex);
        checks.put("read-write lock lets readers share", Recipes::readWriteLock);
        checks.put("semaphore leases no more than it has", Recipes::semaphore);
        checks.put("distributed barrier holds all until removed", Recipes::barrier);
        checks.put("double barrier enters and leaves together", Recipes::doubleBarrier);
        checks.put("atomic long counts every increment", Recipes::atomicLong);
        checks.put("shared counter tells its listeners", Recipes::sharedCount);
    }

    private static void leaderLatch(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        LeaderLatch first = new LeaderLatch(one, path, "first");
        first.start();
        require(first.await(WAIT_SECONDS, TimeUnit.SECONDS), "the first leads");
        try (LeaderLatch second = new LeaderLatch(two, path, "second")) {
            second.start();
            eventually(() -> second.getParticipants().size() == 2, "both take part");
            require(!second.hasLeadership(), "the second waits");
            require(second.getLeader().getId().equals("first"), "the second knows the leader");
            first.close();
            require(second.await(WAIT_SECONDS, TimeUnit.SECONDS), "the second takes over");
        }
    }

    private static void leaderSelector(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        AtomicInteger leaders = new AtomicInteger();
        AtomicInteger turns = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        List<LeaderSelector> selectors = new ArrayList<>();
        for (CuratorFramework client : List.of(one, two)) {
            LeaderSelector selector = new LeaderSelector(client, path, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework leader) throws Exception {
                    most.accumulateAndGet(leaders.incrementAndGet(), Math::max);
                    Thread.sleep(20);
                    turns.incrementAndGet();
                    leaders.decrementAndGet();
                }
            });
            selector.autoRequeue();
            selectors.add(selector);
        }
        selectors.forEach(LeaderSelector::start);
        eventually(() -> turns.get() >= 6, "six turns");
        selectors.forEach(LeaderSelector::close);
        require(most.get() == 1, "one leader at a time");
    }

    private static void mutex(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        AtomicInteger holders = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        List<Callable<Void>> tasks = new ArrayList<>();
        for (CuratorFramework client : List.of(one, two, one, two)) {
            InterProcessMutex mutex = new InterProcessMutex(client, path);
            tasks.add(() -> {
                for (int turn = 0; turn < 10; turn++) {
                    require(mutex.acquire(WAIT_SECONDS, TimeUnit.SECONDS), "acquired");
                    require(mutex.acquire(WAIT_SECONDS, TimeUnit.SECONDS), "acquired again");
                    most.accumulateAndGet(holders.incrementAndGet(), Math::max);
                    holders.decrementAndGet();
                    mutex.release();
                    mutex.release();
                }
                return null;
            });
        }
        together(tasks);
        require(most.get() == 1, "one holder at a time");
    }

    private static void readWriteLock(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        InterProcessReadWriteLock first = new InterProcessReadWriteLock(one, path);
        InterProcessReadWriteLock second = new InterProcessReadWriteLock(two, path);
        first.readLock().acquire();
        require(second.readLock().acquire(WAIT_SECONDS, TimeUnit.SECONDS), "two readers");
        require(!second.writeLock().acquire(100, TimeUnit.MILLISECONDS), "no writer beside readers");
        first.readLock().release();
        second.readLock().release();
        require(second.writeLock().acquire(WAIT_SECONDS, TimeUnit.SECONDS), "a writer once they are gone");
        require(!first.readLock().acquire(100, TimeUnit.MILLISECONDS), "no reader beside a writer");
        second.writeLock().release();
    }

    private static void semaphore(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        InterProcessSemaphoreV2 first = new InterProcessSemaphoreV2(one, path, 2);
        InterProcessSemaphoreV2 second = new InterProcessSemaphoreV2(two, path, 2);
        Collection<Lease> both = first.acquire(2);
        require(second.acquire(100, TimeUnit.MILLISECONDS) == null, "no third lease");
        first.returnLease(both.iterator().next());
        Lease lease = second.acquire(WAIT_SECONDS, TimeUnit.SECONDS);
        require(lease != null, "a returned lease is given again");
        second.returnLease(lease);
        first.returnAll(both);
    }

    private static void barrier(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        DistributedBarrier first = new DistributedBarrier(one, path);
        first.setBarrier();
        DistributedBarrier second = new DistributedBarrier(two, path);
        require(!second.waitOnBarrier(100, TimeUnit.MILLISECONDS), "it holds");
        first.removeBarrier();
        require(second.waitOnBarrier(WAIT_SECONDS, TimeUnit.SECONDS), "it is lifted");
    }

    private static void doubleBarrier(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        AtomicInteger inside = new AtomicInteger();
        List<Callable<Void>> tasks = new ArrayList<>();
        for (CuratorFramework client : List.of(one, two)) {
            DistributedDoubleBarrier both = new DistributedDoubleBarrier(client, path, 2);
            tasks.add(() -> {
                require(both.enter(WAIT_SECONDS, TimeUnit.SECONDS), "entered");
                inside.incrementAndGet();
                require(both.leave(WAIT_SECONDS, TimeUnit.SECONDS), "left");
                require(inside.get() == 2, "nobody leaves before both are in");
                return null;
            });
        }
        together(tasks);
    }

    private static void atomicLong(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        List<Callable<Void>> tasks = new ArrayList<>();
        for (CuratorFramework client : List.of(one, two)) {
            DistributedAtomicLong number = new DistributedAtomicLong(client, path, new RetryNTimes(1000, 1));
            tasks.add(() -> {
                for (int turn = 0; turn < 50; turn++) {
                    require(number.increment().succeeded(), "incremented");
                }
                return null;
            });
        }
        together(tasks);
        long total = new DistributedAtomicLong(one, path, new RetryNTimes(10, 1)).get().postValue();
        require(total == 100, "100 increments, not " + total);
    }

    private static void sharedCount(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        AtomicInteger heard = new AtomicInteger();
        try (SharedCount first = new SharedCount(one, path, 5); SharedCount second = new SharedCount(two, path, 5)) {
            second.addListener(new SharedCountListener() {
                @Override
                public void countHasChanged(SharedCountReader reader, int value) {
                    heard.set(value);
                }

                @Override
                public void stateChanged(CuratorFramework client, ConnectionState state) {}
            });
            first.start();
            second.start();
            require(second.getCount() == 5, "the seed");
            first.setCount(42);
            eventually(() -> heard.get() == 42 && second.getCount() == 42, "heard of 42");
            require(second.trySetCount(second.getVersionedValue(), 43), "set from the version seen");
        }
    }
}
