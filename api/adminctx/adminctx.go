// Package adminctx marks requests whose client may change or remove stored data on
// paths that also serve others, as the admin paths are for such clients only.
package adminctx

import "context"

type key struct{}

// Allow returns a context of a request whose client has the rights of an
// administrator.
func Allow(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// Allowed reports whether the client has them.
func Allowed(ctx context.Context) bool { return ctx.Value(key{}) != nil }
