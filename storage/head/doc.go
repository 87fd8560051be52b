// Package head is the mutable half of the database in memory.
package head
