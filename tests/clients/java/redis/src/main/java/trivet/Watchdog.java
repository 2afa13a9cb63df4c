package trivet;

import static trivet.RedissonChecks.eventually;
import static trivet.RedissonChecks.require;

import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;

/** Takes a lock when it is made, so that its time goes by while the other checks run. */
final class Watchdog implements RedissonChecks.Check {
    private final RLock held;

    Watchdog(RedissonClient one, RedissonClient two) {
        held = one.getLock("watchdog");
        held.lock();
        require(!two.getLock("watchdog").tryLock(), "taken by another");
    }

    @Override
    public void run(RedissonClient one, RedissonClient two) throws Exception {
        long[] least = {held.remainTimeToLive()};
        require(least[0] > 0, "the lock has a time to live");
        eventually("the time to live grew again", () -> {
            long left = held.remainTimeToLive();
            boolean grew = left > least[0];
            least[0] = left;
            return grew;
        });
        require(!two.getLock("watchdog").tryLock(), "taken by another");
        held.unlock();
        require(two.getLock("watchdog").tryLock(), "free when it is given back");
        two.getLock("watchdog").unlock();
    }
}
