package trivet;

import static trivet.RedissonChecks.eventually;
import static trivet.RedissonChecks.require;
import static trivet.RedissonChecks.same;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.redisson.api.GeoUnit;
import org.redisson.api.RBatch;
import org.redisson.api.RBloomFilter;
import org.redisson.api.RBucket;
import org.redisson.api.RGeo;
import org.redisson.api.RLocalCachedMap;
import org.redisson.api.RMapCache;
import org.redisson.api.RScoredSortedSet;
import org.redisson.api.RSetCache;
import org.redisson.api.RTransaction;
import org.redisson.api.RedissonClient;
import org.redisson.api.TransactionOptions;
import org.redisson.api.map.event.EntryExpiredListener;
import org.redisson.api.options.LocalCachedMapOptions;
import org.redisson.client.codec.StringCodec;

/** Maps, sets and whatever keeps values. */
final class Collections {
    private Collections() {}

    static void addTo(Map<String, RedissonChecks.Check> checks) {
        checks.put("an entry of a map has a time of its own", Collections::mapCache);
        checks.put("a local cache learns of others' changes", Collections::localCache);
        checks.put("buckets compare and set; batches and transactions are whole", Collections::buckets);
        checks.put("sets, scores, places, bits", Collections::others);
    }

    private static void mapCache(RedissonClient one, RedissonClient two) throws Exception {
        RMapCache<String, String> map = one.getMapCache("map-cache", StringCodec.INSTANCE);
        AtomicInteger expired = new AtomicInteger();
        map.addListener((EntryExpiredListener<String, String>) event -> expired.incrementAndGet());
        map.put("brief", "v", 100, TimeUnit.MILLISECONDS);
        map.put("long", "v", 1, TimeUnit.HOURS);
        map.fastPut("ever", "v");
        require(map.remainTimeToLive("long") > 0 && map.remainTimeToLive("ever") == -1, "times to live");
        RMapCache<String, String> same = two.getMapCache("map-cache", StringCodec.INSTANCE);
        eventually("what is over is gone", () -> same.readAllKeySet().equals(Set.of("long", "ever")));
        eventually("and told of", () -> expired.get() >= 1);
        same(null, same.get("brief"));
        same("v", same.putIfAbsent("ever", "w"));
        same(true, same.replace("ever", "v", "x"));
        same("x", map.remove("ever"));
        map.destroy();
    }

    private static void localCache(RedissonClient one, RedissonClient two) throws Exception {
        LocalCachedMapOptions<String, String> options = LocalCachedMapOptions.<String, String>name("local").codec(StringCodec.INSTANCE);
        RLocalCachedMap<String, String> mine = one.getLocalCachedMap(options);
        RLocalCachedMap<String, String> theirs = two.getLocalCachedMap(options);
        mine.put("k", "old");
        eventually("it is cached", () -> "old".equals(theirs.get("k")) && theirs.getCachedMap().containsKey("k"));
        mine.put("k", "new");
        eventually("the cache learned of it", () -> "new".equals(theirs.get("k")));
        mine.destroy();
        theirs.destroy();
    }

    private static void buckets(RedissonClient one, RedissonClient two) {
        RBucket<String> bucket = one.getBucket("bucket", StringCodec.INSTANCE);
        bucket.set("a", Duration.ofHours(1));
        require(two.<String>getBucket("bucket", StringCodec.INSTANCE).compareAndSet("a", "b"), "it was a");
        require(!bucket.compareAndSet("a", "c"), "it is b");
        same("b", bucket.getAndDelete());
        RBatch batch = one.createBatch();
        for (int n = 0; n < 100; n++) {
            batch.getAtomicLong("counter").incrementAndGetAsync();
        }
        same(100, batch.execute().getResponses().size());
        same(100L, two.getAtomicLong("counter").get());
        RTransaction transaction = one.createTransaction(TransactionOptions.defaults());
        transaction.<String, String>getMap("in-transaction").put("k", "v");
        transaction.getBucket("also").set("v");
        require(!two.getBucket("also").isExists(), "not before the commit");
        transaction.commit();
        same("v", two.getMap("in-transaction").get("k"));
    }

    private static void others(RedissonClient one, RedissonClient two) throws Exception {
        RSetCache<String> set = one.getSetCache("set-cache", StringCodec.INSTANCE);
        set.add("brief", 50, TimeUnit.MILLISECONDS);
        set.add("ever");
        eventually("what is over is gone", () -> set.readAll().equals(Set.of("ever")));
        set.destroy();
        RScoredSortedSet<String> scores = one.getScoredSortedSet("scores", StringCodec.INSTANCE);
        scores.addAll(Map.of("a", 1.0, "b", 2.5, "c", 3.0));
        same(List.of("c", "b"), scores.valueRangeReversed(0, 1));
        same(2.5, two.getScoredSortedSet("scores", StringCodec.INSTANCE).getScore("b"));
        same("a", scores.pollFirst());
        RGeo<String> places = one.getGeo("places", StringCodec.INSTANCE);
        places.add(13.361389, 38.115556, "Palermo");
        places.add(15.087269, 37.502669, "Catania");
        require(Math.abs(places.dist("Palermo", "Catania", GeoUnit.KILOMETERS) - 166.27) < 0.1, "the distance");
        RBloomFilter<String> filter = one.getBloomFilter("filter");
        filter.tryInit(1000, 0.01);
        filter.add("there");
        require(two.<String>getBloomFilter("filter").contains("there"), "it may be there");
        one.getHyperLogLog("many").addAll(List.of(1, 2, 3));
        same(3L, two.getHyperLogLog("many").count());
    }
}
