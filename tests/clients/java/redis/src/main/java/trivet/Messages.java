package trivet;

import static trivet.RedissonChecks.WAIT_SECONDS;
import static trivet.RedissonChecks.eventually;
import static trivet.RedissonChecks.require;
import static trivet.RedissonChecks.same;

import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.redisson.api.RBlockingQueue;
import org.redisson.api.RDelayedQueue;
import org.redisson.api.RReliableTopic;
import org.redisson.api.RScript;
import org.redisson.api.RStream;
import org.redisson.api.RTopic;
import org.redisson.api.RedissonClient;
import org.redisson.api.StreamMessageId;
import org.redisson.api.stream.StreamAddArgs;
import org.redisson.api.stream.StreamCreateGroupArgs;
import org.redisson.api.stream.StreamReadGroupArgs;
import org.redisson.client.codec.StringCodec;

/** What travels: topics, queues, streams. */
final class Messages {
    private Messages() {}

    static void addTo(Map<String, RedissonChecks.Check> checks) {
        checks.put("a topic tells all who listen, by name and by pattern", Messages::topics);
        checks.put("a reliable topic keeps what is told", Messages::reliableTopics);
        checks.put("what is delayed comes later, in the order of its time", Messages::delayedQueues);
        checks.put("blocking queues wake who waits", Messages::blockingQueues);
        checks.put("streams are read in groups and acknowledged", Messages::streams);
        checks.put("scripts are cached by their sum", Messages::scripts);
    }

    private static void told(BlockingQueue<String> heard, String expected) throws InterruptedException {
        same(expected, heard.poll(WAIT_SECONDS, TimeUnit.SECONDS));
    }

    private static void topics(RedissonClient one, RedissonClient two) throws Exception {
        BlockingQueue<String> named = new LinkedBlockingQueue<>();
        BlockingQueue<String> matched = new LinkedBlockingQueue<>();
        RTopic topic = one.getTopic("news.local", StringCodec.INSTANCE);
        int listener = topic.addListener(String.class, (channel, text) -> named.add(text));
        one.getPatternTopic("news.*", StringCodec.INSTANCE)
                .addListener(String.class, (pattern, channel, text) -> matched.add(channel + " " + text));
        same(2L, two.getTopic("news.local", StringCodec.INSTANCE).publish("first"));
        told(named, "first");
        told(matched, "news.local first");
        topic.removeListener(listener);
        eventually("nobody listens by name", () -> topic.countSubscribers() == 0);
        same(1L, two.getTopic("news.local", StringCodec.INSTANCE).publish("second"));
        told(matched, "news.local second");
        require(named.isEmpty(), "nothing more was heard");
    }

    private static void reliableTopics(RedissonClient one, RedissonClient two) throws Exception {
        BlockingQueue<String> heard = new LinkedBlockingQueue<>();
        RReliableTopic topic = one.getReliableTopic("reliable", StringCodec.INSTANCE);
        String id = topic.addListener(String.class, (channel, text) -> heard.add(text));
        for (String text : List.of("a", "b", "c")) {
            two.getReliableTopic("reliable", StringCodec.INSTANCE).publish(text);
        }
        for (String text : List.of("a", "b", "c")) {
            told(heard, text);
        }
        topic.removeListener(id);
    }

    private static void delayedQueues(RedissonClient one, RedissonClient two) throws Exception {
        RBlockingQueue<String> due = one.getBlockingQueue("due", StringCodec.INSTANCE);
        RDelayedQueue<String> delayed = one.getDelayedQueue(due);
        delayed.offer("never", 1, TimeUnit.HOURS);
        delayed.offer("second", 300, TimeUnit.MILLISECONDS);
        delayed.offer("first", 100, TimeUnit.MILLISECONDS);
        RBlockingQueue<String> same = two.getBlockingQueue("due", StringCodec.INSTANCE);
        same("first", same.poll(WAIT_SECONDS, TimeUnit.SECONDS));
        same("second", same.poll(WAIT_SECONDS, TimeUnit.SECONDS));
        same(List.of("never"), delayed.readAll());
        delayed.destroy();
    }

    private static void blockingQueues(RedissonClient one, RedissonClient two) throws Exception {
        BlockingQueue<String> taken = new LinkedBlockingQueue<>();
        Thread taker = new Thread(() -> {
            try {
                taken.add(one.<String>getBlockingQueue("blocking", StringCodec.INSTANCE).take());
            } catch (InterruptedException stopped) {
                Thread.currentThread().interrupt();
            }
        });
        taker.start();
        two.<String>getQueue("blocking", StringCodec.INSTANCE).add("work");
        told(taken, "work");
        two.<String>getDeque("from", StringCodec.INSTANCE).add("moved");
        same("moved", one.<String>getBlockingDeque("from", StringCodec.INSTANCE)
                .pollLastAndOfferFirstTo("to", WAIT_SECONDS, TimeUnit.SECONDS));
        same(List.of("moved"), two.getList("to", StringCodec.INSTANCE).readAll());
    }

    private static void streams(RedissonClient one, RedissonClient two) {
        RStream<String, String> stream = one.getStream("stream", StringCodec.INSTANCE);
        stream.createGroup(StreamCreateGroupArgs.name("group").makeStream());
        StreamMessageId id = stream.add(StreamAddArgs.entry("k", "v"));
        RStream<String, String> reader = two.getStream("stream", StringCodec.INSTANCE);
        same(Map.of(id, Map.of("k", "v")), reader.readGroup("group", "consumer", StreamReadGroupArgs.neverDelivered()));
        same(1L, stream.getPendingInfo("group").getTotal());
        same(1L, reader.ack("group", id));
        same(0L, stream.getPendingInfo("group").getTotal());
    }

    private static void scripts(RedissonClient one, RedissonClient two) {
        RScript script = one.getScript(StringCodec.INSTANCE);
        String sum = script.scriptLoad("redis.call('set', KEYS[1], ARGV[1]); return redis.call('get', KEYS[1])");
        Object reply = two.getScript(StringCodec.INSTANCE)
                .evalSha(RScript.Mode.READ_WRITE, sum, RScript.ReturnType.VALUE, List.of("by-script"), "v");
        same("v", reply);
        same(List.of(true), script.scriptExists(sum));
    }
}
