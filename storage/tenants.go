package storage

import (
	"errors"
	"fmt"

	"tsdb/internal/model"
)

// DefaultTenantName is the name of model.DefaultTenant.
const DefaultTenantName = "default"

// ErrUnknownTenant is returned for the name of a tenant that does not exist.
var ErrUnknownTenant = errors.New("unknown tenant")

// tenantTable maps the names of tenants to their numbers, in memory. It never
// changes after Open.
type tenantTable map[string]uint32

// newTenantTable returns a table of the tenants given and the default one.
func newTenantTable(more map[string]uint32) (tenantTable, error) {
	t := tenantTable{DefaultTenantName: model.DefaultTenant}
	nameOf := map[uint32]string{model.DefaultTenant: DefaultTenantName}
	for name, id := range more {
		if other, taken := nameOf[id]; taken && other != name {
			return nil, fmt.Errorf("tenant %q has number %d, which is that of tenant %q", name, id, other)
		}
		if old, ok := t[name]; ok && old != id {
			return nil, fmt.Errorf("tenant %q has number %d, want %d", name, id, old)
		}
		t[name], nameOf[id] = id, name
	}
	return t, nil
}

// Tenant returns the number of a tenant.
func (db *DB) Tenant(name string) (uint32, error) {
	id, ok := db.tenants[name]
	if !ok {
		return 0, fmt.Errorf("%w: %q", ErrUnknownTenant, clip(name))
	}
	return id, nil
}
