package trivet;

import static trivet.RedissonChecks.WAIT_SECONDS;
import static trivet.RedissonChecks.eventually;
import static trivet.RedissonChecks.require;
import static trivet.RedissonChecks.same;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.redisson.api.RCountDownLatch;
import org.redisson.api.RFencedLock;
import org.redisson.api.RLock;
import org.redisson.api.RPermitExpirableSemaphore;
import org.redisson.api.RRateLimiter;
import org.redisson.api.RReadWriteLock;
import org.redisson.api.RSemaphore;
import org.redisson.api.RateType;
import org.redisson.api.RedissonClient;

/** What holds clients back: locks, semaphores, latches, rate limiters. */
final class Locks {
    private Locks() {}

    static void addTo(Map<String, RedissonChecks.Check> checks) {
        checks.put("one at a time is in a lock, and may enter twice", Locks::mutualExclusion);
        checks.put("a lease ends by itself", Locks::leases);
        checks.put("who waits for a lock is woken when it is free", Locks::waiting);
        checks.put("fair locks, fenced locks, locks over several", Locks::otherLocks);
        checks.put("readers share, a writer is alone", Locks::readersAndWriters);
        checks.put("semaphores, permits and latches", Locks::semaphores);
        checks.put("a rate limiter gives no more than its rate", Locks::rateLimiters);
    }

    private static void mutualExclusion(RedissonClient one, RedissonClient two) throws Exception {
        int[] inside = {0};
        Thread[] threads = new Thread[4];
        for (int i = 0; i < threads.length; i++) {
            RLock lock = (i % 2 == 0 ? one : two).getLock("exclusion");
            threads[i] = new Thread(() -> {
                for (int n = 0; n < 25; n++) {
                    lock.lock();
                    lock.lock();
                    inside[0]++; // lost updates would show that two were inside
                    lock.unlock();
                    lock.unlock();
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        same(100, inside[0]);
        require(!one.getLock("exclusion").isLocked(), "free at the end");
    }

    private static void leases(RedissonClient one, RedissonClient two) throws Exception {
        one.getLock("leased").lock(50, TimeUnit.MILLISECONDS);
        require(two.getLock("leased").tryLock(WAIT_SECONDS, TimeUnit.SECONDS), "taken when the lease was over");
        require(!one.getLock("leased").isHeldByCurrentThread(), "the lease is over");
        two.getLock("leased").unlock();
    }

    private static void waiting(RedissonClient one, RedissonClient two) throws Exception {
        RLock lock = one.getLock("awaited");
        lock.lock();
        Thread waiter = new Thread(() -> {
            two.getLock("awaited").lock();
            two.getLock("awaited").unlock();
        });
        waiter.start();
        eventually("somebody listens", () -> one.getTopic("redisson_lock__channel:{awaited}").countSubscribers() > 0);
        lock.unlock();
        waiter.join(WAIT_SECONDS * 1000);
        require(!waiter.isAlive(), "the waiter was woken");
    }

    private static void otherLocks(RedissonClient one, RedissonClient two) throws Exception {
        RLock fair = one.getFairLock("fair");
        fair.lock();
        require(!two.getFairLock("fair").tryLock(), "held by another");
        fair.unlock();
        RFencedLock fenced = one.getFencedLock("fenced");
        long first = fenced.lockAndGetToken();
        fenced.unlock();
        require(two.getFencedLock("fenced").lockAndGetToken() > first, "tokens rise");
        two.getFencedLock("fenced").unlock();
        RLock several = one.getMultiLock(one.getLock("several-1"), one.getLock("several-2"));
        several.lock();
        require(two.getLock("several-2").isLocked(), "all of them");
        several.unlock();
    }

    private static void readersAndWriters(RedissonClient one, RedissonClient two) {
        RReadWriteLock mine = one.getReadWriteLock("shared");
        RReadWriteLock theirs = two.getReadWriteLock("shared");
        mine.readLock().lock();
        require(theirs.readLock().tryLock(), "readers share");
        require(!theirs.writeLock().tryLock(), "no writer beside readers");
        mine.readLock().unlock();
        theirs.readLock().unlock();
        require(theirs.writeLock().tryLock(), "a writer alone");
        require(!mine.readLock().tryLock(), "no reader beside a writer");
        theirs.writeLock().unlock();
    }

    private static void semaphores(RedissonClient one, RedissonClient two) throws Exception {
        RSemaphore semaphore = one.getSemaphore("semaphore");
        require(semaphore.trySetPermits(2), "set once");
        require(semaphore.tryAcquire() && two.getSemaphore("semaphore").tryAcquire(), "two permits");
        require(!semaphore.tryAcquire(), "no third");
        semaphore.release();
        require(semaphore.tryAcquire(), "given back");
        RPermitExpirableSemaphore permits = one.getPermitExpirableSemaphore("permits");
        permits.trySetPermits(1);
        String permit = permits.acquire(50, TimeUnit.MILLISECONDS);
        String next = two.getPermitExpirableSemaphore("permits").tryAcquire(WAIT_SECONDS, WAIT_SECONDS, TimeUnit.SECONDS);
        require(next != null && !permits.tryRelease(permit), "a permit ends by itself");
        RCountDownLatch latch = one.getCountDownLatch("latch");
        latch.trySetCount(2);
        two.getCountDownLatch("latch").countDown();
        two.getCountDownLatch("latch").countDown();
        require(latch.await(WAIT_SECONDS, TimeUnit.SECONDS), "down");
    }

    private static void rateLimiters(RedissonClient one, RedissonClient two) {
        RRateLimiter limiter = one.getRateLimiter("rate");
        require(limiter.trySetRate(RateType.OVERALL, 5, Duration.ofHours(1)), "set once");
        int given = 0;
        for (int n = 0; n < 10; n++) {
            given += (n % 2 == 0 ? limiter : two.getRateLimiter("rate")).tryAcquire() ? 1 : 0;
        }
        same(5, given);
        same(0L, limiter.availablePermits());
        same(5L, limiter.getConfig().getRate());
    }
}
