package main

import "code.cloudfoundry.org/credhub-cli/credhub/permissions"

func (s *session) permissions() {
	path, actor, absent := s.at("shared/*"), s.plan.Actor, "00000000-0000-4000-8000-000000000000"
	added := call(s, "add a permission", func() (*permissions.Permission, error) {
		return s.AddPermission(path, actor, []string{"write", "read"})
	})
	id := absent
	if added != nil {
		id = added.UUID
	}
	call(s, "add it again", func() (any, error) { return s.AddPermission(path, actor, []string{"read"}) })
	call(s, "get it by its id", func() (any, error) { return s.GetPermissionByUUID(id) })
	call(s, "get it by path and actor", func() (any, error) { return s.GetPermissionByPathActor(path, actor) })
	call(s, "update it", func() (any, error) {
		return s.UpdatePermission(id, path, actor, []string{"delete", "read", "read_acl"})
	})
	call(s, "update it for another", func() (any, error) { return s.UpdatePermission(id, path, "some-actor", []string{"read"}) })
	call(s, "get it updated", func() (any, error) { return s.GetPermissionByUUID(id) })
	call(s, "delete it", func() (any, error) { return s.DeletePermission(id) })
	call(s, "get it deleted", func() (any, error) { return s.GetPermissionByPathActor(path, actor) })
	call(s, "delete it twice", func() (any, error) { return s.DeletePermission(id) })
	call(s, "get one that is not there", func() (any, error) { return s.GetPermissionByUUID(absent) })
	call(s, "get one of no id", func() (any, error) { return s.GetPermissionByUUID("none") })
	call(s, "update one that is not there", func() (any, error) { return s.UpdatePermission(absent, path, actor, []string{"read"}) })
	call(s, "add one of no operation", func() (any, error) { return s.AddPermission(path, actor, []string{}) })
	call(s, "add one of a wrong operation", func() (any, error) { return s.AddPermission(path, actor, []string{"all"}) })
	call(s, "add one without an actor", func() (any, error) { return s.AddPermission(path, "", []string{"read"}) })
	call(s, "add one without a path", func() (any, error) { return s.AddPermission("", actor, []string{"read"}) })
	call(s, "add one for oneself", func() (any, error) { return s.AddPermission(path, s.who.Self, []string{"read"}) })
	call(s, "permissions of a name", func() (any, error) { return s.GetPermissions(s.at("password")) })
}

func (s *session) self() string {
	return s.who.Self
}
