package model

// DefaultTenant is the tenant of requests that name none. A tenant is a number
// that is part of the identity of each of its series; tenants share nothing but
// the process and its files.
const DefaultTenant uint32 = 0
