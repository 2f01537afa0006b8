/* nginx's configure wants one source file for a module. */
