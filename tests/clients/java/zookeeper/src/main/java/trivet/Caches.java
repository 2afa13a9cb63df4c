package trivet;

import static trivet.CuratorChecks.eventually;
import static trivet.CuratorChecks.require;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/** What follows the tree: caches, members, watchers; and transactions and special nodes. */
final class Caches {
    private Caches() {}

    @SuppressWarnings("deprecation")
    static void addTo(Map<String, CuratorChecks.Check> checks) {
        checks.put("curator cache sees create, change and delete", Caches::curatorCache);
        checks.put("path children cache rebuilds and follows", Caches::pathChildrenCache);
        checks.put("persistent node comes back when deleted", Caches::persistentNode);
        checks.put("group member sees its group", Caches::groupMember);
        checks.put("transactions are all or nothing", Caches::transactions);
        checks.put("containers and time-to-live nodes are made", Caches::specialNodes);
        checks.put("persistent recursive watcher hears everything below", Caches::recursiveWatcher);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void curatorCache(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        List<String> heard = new CopyOnWriteArrayList<>();
        one.create().creatingParentsIfNeeded().forPath(path + "/before", bytes("0"));
        try (CuratorCache cache = CuratorCache.build(one, path)) {
            cache.listenable().addListener(CuratorCacheListener.builder()
                    .forCreates(node -> heard.add("created " + node.getPath()))
                    .forChanges((before, after) -> heard.add("changed " + after.getPath()))
                    .forDeletes(node -> heard.add("deleted " + node.getPath()))
                    .build());
            cache.start();
            eventually(() -> cache.get(path + "/before").isPresent(), "the node from before");
            two.create().creatingParentsIfNeeded().forPath(path + "/a/b", bytes("1"));
            eventually(() -> cache.get(path + "/a/b").isPresent(), "the new node");
            two.setData().forPath(path + "/a/b", bytes("2"));
            eventually(() -> heard.contains("changed " + path + "/a/b"), "the change");
            require(Arrays.equals(cache.get(path + "/a/b").get().getData(), bytes("2")), "the new data");
            two.delete().forPath(path + "/a/b");
            eventually(() -> heard.contains("deleted " + path + "/a/b"), "the delete");
            require(cache.get(path + "/a/b").isEmpty(), "gone");
        }
    }

    @SuppressWarnings("deprecation")
    private static void pathChildrenCache(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        one.create().creatingParentsIfNeeded().forPath(path + "/a", bytes("1"));
        try (PathChildrenCache cache = new PathChildrenCache(one, path, true)) {
            cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
            require(cache.getCurrentData().size() == 1, "built from what is there");
            two.create().forPath(path + "/b", bytes("2"));
            eventually(() -> cache.getCurrentData().size() == 2, "a second child");
            two.setData().forPath(path + "/a", bytes("3"));
            eventually(() -> Arrays.equals(cache.getCurrentData(path + "/a").getData(), bytes("3")), "new data");
            two.delete().forPath(path + "/b");
            eventually(() -> cache.getCurrentData().size() == 1, "one child less");
        }
    }

    private static void persistentNode(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        try (PersistentNode node = new PersistentNode(one, CreateMode.EPHEMERAL, false, path, bytes("here"))) {
            node.start();
            require(node.waitForInitialCreate(15, TimeUnit.SECONDS), "created");
            long made = two.checkExists().forPath(path).getCzxid();
            two.delete().forPath(path);
            eventually(() -> {
                Stat stat = two.checkExists().forPath(path);
                return stat != null && stat.getCzxid() > made;
            }, "created again");
        }
    }

    private static void groupMember(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        try (GroupMember first = new GroupMember(one, path, "first", bytes("1"))) {
            first.start();
            try (GroupMember second = new GroupMember(two, path, "second", bytes("2"))) {
                second.start();
                eventually(() -> first.getCurrentMembers().keySet().equals(Set.of("first", "second")), "both");
            }
            eventually(() -> first.getCurrentMembers().keySet().equals(Set.of("first")), "one left");
        }
    }

    private static void transactions(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        one.create().forPath(path, bytes("0"));
        List<CuratorTransactionResult> results = one.transaction().forOperations(
                one.transactionOp().create().forPath(path + "/a", bytes("1")),
                one.transactionOp().check().withVersion(0).forPath(path),
                one.transactionOp().setData().forPath(path, bytes("2")));
        require(results.size() == 3 && results.get(2).getResultStat().getVersion() == 1, "three results");
        try {
            one.transaction().forOperations(
                    one.transactionOp().delete().forPath(path + "/a"),
                    one.transactionOp().check().withVersion(0).forPath(path));
            throw new AssertionError("a stale check went through");
        } catch (KeeperException.BadVersionException expected) {
            require(expected.getResults().size() == 2, "a result for each operation");
        }
        require(two.checkExists().forPath(path + "/a") != null, "nothing deleted");
    }

    private static void specialNodes(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        one.create().withMode(CreateMode.CONTAINER).forPath(path);
        one.create().withTtl(100_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath(path + "/ttl");
        String made = one.create().withTtl(100_000).withMode(CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL)
                .forPath(path + "/n-");
        require(made.equals(path + "/n-0000000001"), "the second child's number, not " + made);
        require(two.checkExists().forPath(path + "/ttl") != null, "the node is there");
    }

    private static void recursiveWatcher(CuratorFramework one, CuratorFramework two, String path) throws Exception {
        Set<String> heard = ConcurrentHashMap.newKeySet();
        one.create().forPath(path);
        try (PersistentWatcher watcher = new PersistentWatcher(one, path, true)) {
            watcher.getListenable().addListener(event -> heard.add(event.getType() + " " + event.getPath()));
            watcher.start();
            // The watch is set in the background: touch the root until it is heard.
            eventually(() -> {
                two.setData().forPath(path, bytes("x"));
                return heard.contains("NodeDataChanged " + path);
            }, "heard of the root");
            two.create().creatingParentsIfNeeded().forPath(path + "/a/b");
            two.delete().forPath(path + "/a/b");
            eventually(() -> heard.contains("NodeCreated " + path + "/a/b")
                    && heard.contains("NodeDeleted " + path + "/a/b"), "heard of what is below");
        }
    }
}
