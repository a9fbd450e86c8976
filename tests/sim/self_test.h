/* The world's own tests: links, NATs, clock, memory and randomness, without the library. */
#ifndef SIM_SELF_TEST_H
#define SIM_SELF_TEST_H

/* Prints a verdict each; returns how many failed. */
int self_test_run(void);

#endif
