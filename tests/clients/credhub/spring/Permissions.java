import java.util.List;
import org.springframework.credhub.support.CredentialPermission;
import org.springframework.credhub.support.permissions.Actor;
import org.springframework.credhub.support.permissions.Operation;
import org.springframework.credhub.support.permissions.Permission;

/** Permissions, in both versions of the API. */
final class Permissions {
    private static final String ABSENT = "00000000-0000-4000-8000-000000000000";

    private Permissions() {}

    static void all(Calls calls) {
        second(calls);
        first(calls);
    }

    /** The library writes what comes before it. */
    private static String other(Calls calls) {
        return calls.plan.get("actor").asText().replace("uaa-client:", "");
    }

    private static Permission of(Calls calls, Operation... operations) {
        return Permission.builder().client(other(calls)).operations(operations).build();
    }

    private static void second(Calls calls) {
        var permissions = calls.credhub.permissionsV2();
        var path = calls.at("shared/*");
        var actor = Actor.client(other(calls));
        CredentialPermission added = calls.call("add a permission", () ->
            permissions.addPermissions(path, of(calls, Operation.WRITE, Operation.READ)));
        var id = added == null ? ABSENT : added.getId();
        calls.call("add it again", () -> permissions.addPermissions(path, of(calls, Operation.READ)));
        calls.call("get it by its id", () -> permissions.getPermissions(id));
        calls.call("get it by path and actor", () -> permissions.getPermissionsByPathAndActor(path, actor));
        calls.call("update it", () -> permissions.updatePermissions(id, path,
            of(calls, Operation.DELETE, Operation.READ, Operation.READ_ACL)));
        calls.call("get it updated", () -> permissions.getPermissions(id));
        calls.call("delete it", () -> permissions.deletePermission(id));
        calls.call("get it deleted", () -> permissions.getPermissionsByPathAndActor(path, actor));
        calls.call("get one that is not there", () -> permissions.getPermissions(ABSENT));
    }

    private static void first(Calls calls) {
        var permissions = calls.credhub.permissions();
        var name = calls.at("password");
        var actor = Actor.client(other(calls));
        calls.call("permit by name", () -> permissions.addPermissions(name, of(calls, Operation.READ, Operation.WRITE)));
        calls.call("permit it again", () -> permissions.addPermissions(name, of(calls, Operation.READ)));
        calls.call("permissions of a name", () -> List.copyOf(permissions.getPermissions(name)));
        calls.call("permit no longer", () -> permissions.deletePermission(name, actor));
        calls.call("permit no longer again", () -> permissions.deletePermission(name, actor));
    }
}
