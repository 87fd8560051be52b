package influx

import (
	"slices"
	"sync"
)

// databases holds the databases that clients have created. A database is only a
// label value, so one without samples exists only here, until the process ends.
// It is safe for concurrent use.
type databases struct {
	mu    sync.Mutex
	names map[string][]policy
}

func (d *databases) create(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.createLocked(name)
}

func (d *databases) createLocked(name string) bool {
	if d.names == nil {
		d.names = make(map[string][]policy)
	}
	policies, ok := d.names[name]
	if !ok && len(d.names) >= maxDatabases {
		return false
	}
	d.names[name] = policies
	return true
}

func (d *databases) drop(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, name)
}

func (d *databases) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := make([]string, 0, len(d.names))
	for n := range d.names {
		l = append(l, n)
	}
	return l
}

func (d *databases) policies(name string) []policy {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.names[name])
}

// setPolicy adds a policy to a database, or replaces the policy of the same name.
// If it is the default, the other policies cease to be. It returns false if a
// limit is reached.
func (d *databases) setPolicy(name string, p policy) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.createLocked(name) {
		return false
	}
	policies := d.names[name]
	i := slices.IndexFunc(policies, func(q policy) bool { return q.name == p.name })
	switch {
	case i >= 0:
		policies[i] = p
	case len(policies) >= maxPolicies:
		return false
	default:
		policies = append(policies, p)
	}
	for k := range policies {
		policies[k].isDefault = policies[k].isDefault && (!p.isDefault || policies[k].name == p.name)
	}
	d.names[name] = policies
	return true
}

func (d *databases) dropPolicy(name, policyName string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if policies, ok := d.names[name]; ok {
		d.names[name] = slices.DeleteFunc(policies, func(p policy) bool { return p.name == policyName })
	}
}
